"""The stage that enlarges every frame with a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vidperc.clip import Clip
from vidperc.errors import VidpercError
from vidperc.models.ensemble import check_ensemble, in_orientations
from vidperc.models.zoo import AUTO, LARGEST_SCALE, find_chain, recurrent_cards
from vidperc.placement import Placement
from vidperc.stages.stage import Stream, per_frame, resampled_chroma

if TYPE_CHECKING:
    from torch import Tensor

    from vidperc.models.load import Model
    from vidperc.models.recurrent import Before


@dataclass(frozen=True, kw_only=True)
class Upscale:
    """Enlarge every frame. Recurrent networks see what they made of the frame before, and need `motion` for it.

    model: a name that `vidperc models list` shows, or the path of a weights file (.safetensors, .pth); auto chooses
        between our networks for clean and for compressed video by a look at the source.
    scale: output side over input side; left out, the network's own, 2 for a family of networks.
    detail: 0 for what is nearest to the source on average, to 1 for the finest detail, from the networks' perceptual
        twins; between them their weights are mixed.
    ensemble: the mean over so many orientations of a frame, 1, 2, 4 or 8: nearer to the truth, as many times slower.
    """

    kind: Literal["upscale"] = "upscale"
    model: str = AUTO
    scale: int | None = None
    detail: float = 0.0
    ensemble: int = 1

    def __post_init__(self) -> None:
        if self.scale is not None and not 1 <= self.scale <= LARGEST_SCALE:
            raise ValueError(f"scale: got {self.scale}, wanted a whole number from 1 to {LARGEST_SCALE}")
        if not 0 <= self.detail <= 1:
            raise ValueError(f"detail: got {self.detail:g}, wanted 0 to 1")
        check_ensemble(self.ensemble)

    @property
    def past(self) -> int:
        return 0

    @property
    def future(self) -> int:
        return 0

    @property
    def settle(self) -> int:
        # One after the other: the second has forgotten only after what it is given has.
        return sum(card.settle for card in recurrent_cards(self.model, self.scale))

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"motion"}) if recurrent_cards(self.model, self.scale) else frozenset()

    @property
    def provides(self) -> frozenset[str]:
        return frozenset()

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        scale = find_chain(self.model, self.scale).scale
        if self.ensemble > 1 and recurrent_cards(self.model, self.scale):
            raise VidpercError(
                f"{self.model}: ensemble {self.ensemble} is for networks that see single frames, and this one is "
                "recurrent; leave ensemble out"
            )
        return width * scale, height * scale

    @property
    def takes_luma(self) -> bool:
        return all(card.luma for card in find_chain(self.model, self.scale).cards)

    def open(self, placement: Placement) -> Stream:
        from vidperc.models.load import load_model
        from vidperc.ops.resize import resize

        chain = find_chain(self.model, self.scale, self.detail)
        models = [
            load_model(model, card.scale, placement, detail=card.detail)
            for model, card in zip(chain.models, chain.cards, strict=True)
        ]
        if any(card.recurrent for card in chain.cards):
            return _following(models, chain.scale)
        turning = [in_orientations(model, self.ensemble) for model in models]
        kernel = "lanczos" if self.model == "lanczos" else "bicubic"

        def enlarge(frames: Tensor) -> Tensor:  # (T,C,h,w) -> (T,C,h*scale,w*scale)
            height, width = frames.shape[-2:]
            for network in turning:
                frames = network(frames)
            return resize(frames, (height * chain.scale, width * chain.scale), "bicubic")

        return per_frame(enlarge, chroma_kernel=kernel)


def _following(models: Sequence[Model], scale: int) -> Stream:
    """The stream of networks one after the other, of which some see what they made of the frame before."""

    def stream(clips: Iterator[Clip]) -> Iterator[Clip]:
        import torch

        shot: int | None = None
        befores: list[Before | None] = []
        for clip in clips:
            if clip.shot != shot:
                shot, befores = clip.shot, [None] * len(models)
            made: list[Tensor] = []
            for single in clip.singles():
                made.append(enlarged(single, befores))
            frames = made[0] if len(made) == 1 else torch.cat(made)
            yield clip.with_frames(frames, resampled_chroma(clip, frames.shape[-2], frames.shape[-1]))

    def enlarged(single: Clip, befores: list[Before | None]) -> Tensor:
        """A frame enlarged, (1,C,h*scale,w*scale); each recurrent network leaves in its place what the next needs."""
        from vidperc.ops.resize import resize

        assert single.motion is not None  # the pipeline was checked for it
        frame, motion = single.frames, single.motion
        height, width = frame.shape[-2:]
        for place, model in enumerate(models):
            if model.card.recurrent:
                frame, befores[place] = model.follow(frame, motion.flow, motion.visible, befores[place])
            else:
                frame = model(frame)
        return resize(frame, (height * scale, width * scale), "bicubic")

    return stream
