"""The stage that enlarges every frame with a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vidperc.models.zoo import AUTO, LARGEST_SCALE, find_chain
from vidperc.placement import Placement
from vidperc.stages.stage import PerFrame, Stream, per_frame

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Upscale(PerFrame):
    """Enlarge every frame.

    model: a name that `vidperc models list` shows, or the path of a weights file (.safetensors, .pth); auto chooses
        between our networks for clean and for compressed video by a look at the source.
    scale: output side over input side; left out, the network's own, 2 for a family of networks.
    """

    kind: Literal["upscale"] = "upscale"
    model: str = AUTO
    scale: int | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and not 1 <= self.scale <= LARGEST_SCALE:
            raise ValueError(f"scale: got {self.scale}, wanted a whole number from 1 to {LARGEST_SCALE}")

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        scale = find_chain(self.model, self.scale).scale
        return width * scale, height * scale

    @property
    def takes_luma(self) -> bool:
        return all(card.luma for card in find_chain(self.model, self.scale).cards)

    def open(self, placement: Placement) -> Stream:
        from vidperc.models.load import load_model
        from vidperc.ops.resize import resize

        chain = find_chain(self.model, self.scale)
        models = [
            load_model(model, card.scale, placement) for model, card in zip(chain.models, chain.cards, strict=True)
        ]
        kernel = "lanczos" if self.model == "lanczos" else "bicubic"

        def enlarge(frames: Tensor) -> Tensor:  # (T,C,h,w) -> (T,C,h*scale,w*scale)
            height, width = frames.shape[-2:]
            for model in models:
                frames = model(frames)
            return resize(frames, (height * chain.scale, width * chain.scale), "bicubic")

        return per_frame(enlarge, chroma_kernel=kernel)
