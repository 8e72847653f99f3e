"""The stage that holds in place what networks added to the source's frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, log
from typing import TYPE_CHECKING, Literal

from vidperc.clip import Clip
from vidperc.models.consistency_file import consistency_card, consistency_settle
from vidperc.placement import Placement
from vidperc.stages.stage import Stream

if TYPE_CHECKING:
    from torch import Tensor

    from vidperc.models.card import ModelCard

# Of the detail that is shown, the share that is held over from the frame before, at full strength.
_MOST_HELD = 0.9

# A state is forgotten when less than this is left of it: one code of 8 bits, should all of it have been wrong.
_FORGOTTEN = 1 / 256


@dataclass(frozen=True, kw_only=True)
class Steady:
    """Hold the detail that networks added along the motion of the source, so that it neither flickers nor swims.

    What is held is the difference between a frame and the source's own, enlarged by bicubic: the source's light,
    colour and movement pass at once. It is mixed with what was shown before, moved to where the source moved, as far
    as the source shows the same surface there and looks as it did, and as the new frame has detail there, too: where
    flow drags the ground along with what moves over it, outlines would stay behind on it.

    strength: 0 to leave frames as they are, to 1 for nine tenths of a frame's detail from the frames before.
    tolerance: how much the source may change along its motion, in 8-bit codes, until its detail is taken anew.
    method: blend, by the rules above; learned, by a network that corrects them pixel by pixel (see
        `models.consistency`), for which there is no tolerance to set.
    weights: the file of that network, which `vidperc train consistency` makes; left out, the one that comes along.

    Source: blending along motion after M. Lang et al., "Practical Temporal Consistency for Image-Based Graphics
    Applications", 2012, and W.-S. Lai et al., "Learning Blind Video Temporal Consistency", 2018 (the weight
    exp(-|I_t - warp(I_{t-1})|^2)); holding only what differs from the source is ours.
    """

    kind: Literal["steady"] = "steady"
    strength: float = 0.9
    tolerance: float = 26.0
    method: Literal["blend", "learned"] = "blend"
    weights: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength: got {self.strength:g}, wanted 0 to 1")
        if not 1 <= self.tolerance <= 255:
            raise ValueError(f"tolerance: got {self.tolerance:g}, wanted 1 to 255 codes")
        if self.weights is not None and self.method != "learned":
            raise ValueError(f"weights: got {self.weights}, and method {self.method}, wanted method: learned for them")

    @property
    def card(self) -> ModelCard | None:
        """That of the network which is asked; None where none is. Raises VidpercError as `consistency_card` does."""
        return consistency_card(self.weights) if self.strength and self.method == "learned" else None

    @property
    def past(self) -> int:
        return 0

    @property
    def future(self) -> int:
        return 0

    @property
    def settle(self) -> int:
        if (card := self.card) is not None:
            return consistency_settle(card, self.strength)
        held = _MOST_HELD * self.strength
        return ceil(log(_FORGOTTEN) / log(held)) if held > _FORGOTTEN else 0

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"motion"})

    @property
    def provides(self) -> frozenset[str]:
        return frozenset()

    @property
    def takes_luma(self) -> bool:
        return True

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        return width, height

    def open(self, placement: Placement) -> Stream:
        if not self.strength:
            return lambda clips: clips

        return self._learned(placement) if self.method == "learned" else self._blend()

    def _blend(self) -> Stream:
        def stream(clips: Iterator[Clip]) -> Iterator[Clip]:
            import torch

            from vidperc.ops.held import kept_share
            from vidperc.ops.warp import warp

            shot, before, held = None, None, None  # the source's frame before, and the detail shown with it
            for clip in clips:
                made: list[Tensor] = []
                for single in clip.singles():
                    base = _enlarged(single)
                    detail = single.frames - base
                    if before is not None and held is not None and single.shot == shot:
                        assert single.motion is not None  # the pipeline was checked for it
                        flow, visible = single.motion.flow, single.motion.visible
                        # Bicubic, because the detail passes here once for every frame that it is held, and bilinear
                        # would wear it off.
                        here = single.motion.at(held.shape[-2], held.shape[-1])
                        moved = warp(held, here.flow, mode="bicubic")
                        weight = kept_share(
                            single.source,
                            before,
                            flow,
                            visible,
                            detail,
                            moved,
                            most=_MOST_HELD * self.strength,
                            tolerance=self.tolerance,
                        )
                        # A lerp in which the weights of a hidden pixel are exactly 0: its detail is the new one.
                        detail = detail.addcmul_(weight, moved.sub_(detail))
                    shot, before, held = single.shot, single.source, detail
                    made.append(base.add_(detail) if base is not single.source else base + detail)
                # Chroma is the source's own, enlarged: networks that take luma alone add nothing to it.
                yield clip.with_frames(made[0] if len(made) == 1 else torch.cat(made), clip.chroma)

        return stream

    def _learned(self, placement: Placement) -> Stream:
        from vidperc.models.consistency_file import open_consistency

        network = open_consistency(self.weights, placement)

        def stream(clips: Iterator[Clip]) -> Iterator[Clip]:
            import torch

            from vidperc.models.consistency import Held

            shot: int | None = None
            before: Held | None = None
            for clip in clips:
                made: list[Tensor] = []
                for single in clip.singles():
                    assert single.motion is not None  # the pipeline was checked for it
                    base = _enlarged(single)
                    detail, before = network.step(
                        single.source,
                        base,
                        single.frames - base,
                        single.motion.flow,
                        single.motion.visible,
                        before if single.shot == shot else None,
                        strength=self.strength,
                        tile=placement.tile,
                    )
                    shot = single.shot
                    made.append(base + detail)
                yield clip.with_frames(made[0] if len(made) == 1 else torch.cat(made), clip.chroma)

        return stream


def _enlarged(clip: Clip) -> Tensor:
    """The source at the size of the frames, (1,C,H,W)."""
    from vidperc.ops.resize import resize

    size = clip.frames.shape[-2], clip.frames.shape[-1]
    return clip.source if clip.source.shape[-2:] == size else resize(clip.source, size, "bicubic")
