"""The stage that resamples every frame to an asked size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vidperc.placement import Placement
from vidperc.stages.stage import PerFrame, Stream, per_frame

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Resize(PerFrame):
    """Resample every frame so that its short side has `resolution` pixels; the aspect stays.

    resolution: the short side, in pixels, even; the long side is rounded to the nearest even number.
    kernel: lanczos (3 lobes) or bicubic (Keys, a = -0.5), both antialiased when they shrink.
    """

    kind: Literal["resize"] = "resize"
    resolution: int
    kernel: Literal["lanczos", "bicubic"] = "lanczos"

    def __post_init__(self) -> None:
        if not 16 <= self.resolution <= 16384:
            raise ValueError(f"resolution: got {self.resolution}, wanted 16 to 16384 pixels for the short side")
        if self.resolution % 2:
            raise ValueError(f"resolution: got {self.resolution}, wanted an even number, as encoders do")

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        long = max(2, 2 * round(self.resolution * max(width, height) / min(width, height) / 2))
        return (self.resolution, long) if width <= height else (long, self.resolution)

    @property
    def takes_luma(self) -> bool:
        return True

    def open(self, placement: Placement) -> Stream:
        from vidperc.ops.resize import resize

        def function(frames: Tensor) -> Tensor:  # (T,C,h,w) -> (T,C,H,W)
            width, height = self.output_size(frames.shape[-1], frames.shape[-2])
            return resize(frames, (height, width), self.kernel)

        return per_frame(function, chroma_kernel=self.kernel)
