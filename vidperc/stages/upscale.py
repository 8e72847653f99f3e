"""The stage that enlarges every frame with a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vidperc.models.zoo import LARGEST_SCALE, find_card
from vidperc.placement import Placement
from vidperc.stages.stage import PerFrame, Stream, per_frame


@dataclass(frozen=True, kw_only=True)
class Upscale(PerFrame):
    """Enlarge every frame.

    model: a name that `vidperc models list` shows, or the path of a weights file (.safetensors, .pth).
    scale: output side over input side; left out, the network's own.
    """

    kind: Literal["upscale"] = "upscale"
    model: str = "bicubic"
    scale: int | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and not 1 <= self.scale <= LARGEST_SCALE:
            raise ValueError(f"scale: got {self.scale}, wanted a whole number from 1 to {LARGEST_SCALE}")

    def size(self, width: int, height: int) -> tuple[int, int]:
        scale = find_card(self.model, self.scale).scale
        return width * scale, height * scale

    def open(self, placement: Placement) -> Stream:
        from vidperc.models.load import load_model

        return per_frame(load_model(self.model, self.scale, placement))
