"""How a test set's small pictures are made of its large ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from vidperc.ops.blur import BD_SIGMA_PX, blur_and_pick
from vidperc.ops.resize import resize


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """How pictures are made small.

    kind: bicubic, antialiased as MATLAB's imresize; or bd, blur and downsampling: a Gaussian, then one pixel of many.
    sigma: of the Gaussian in pixels of the large picture, 1.5 unless said otherwise; of bd alone.
    phase: of bd alone: where a small pixel sits among the `scale` pixels that it stands for, across and down. centre:
        in their middle, as resizing has it and as BasicVSR's program does; corner: on the first of them, as
        TecoGAN's does. A network that was trained on one comes out shifted, by 1.5 pixels at scale 4, on the other.
    """

    kind: Literal["bicubic", "bd"] = "bicubic"
    sigma: float | None = None
    phase: Literal["centre", "corner"] | None = None

    def __post_init__(self) -> None:
        if self.kind == "bicubic" and (self.sigma is not None or self.phase is not None):
            raise ValueError("kind: got bicubic with a sigma or phase, wanted bd for these; leave them out")
        if self.sigma is not None and not 0.1 <= self.sigma <= 20:
            raise ValueError(f"sigma: got {self.sigma:g}, wanted 0.1 to 20 pixels")

    @property
    def name(self) -> str:
        """As tables have it: bicubic, or bd with its convention."""
        if self.kind == "bicubic":
            return self.kind
        return f"bd@sigma{self.sigma or BD_SIGMA_PX:g},{self.phase or 'centre'}"

    def shrink(self, frame: Tensor, scale: int) -> Tensor:
        """A frame (3,H,W) of [0,1] made `scale` times smaller, (3,H/scale,W/scale), in the values that 8 bits hold.

        Raises ValueError for sides that the scale does not divide.
        """
        height, width = frame.shape[-2:]
        if height % scale or width % scale:
            raise ValueError(f"frame: got {width}x{height}, wanted sides that {scale} divides")
        if self.kind == "bicubic":
            small = resize(frame[None], (height // scale, width // scale), "bicubic")[0]
        else:
            small = blur_and_pick(frame[None], scale, self.sigma or BD_SIGMA_PX, centre=self.phase != "corner")[0]
        return eight_bits(small)


def eight_bits(frame: Tensor) -> Tensor:
    """A picture as an 8-bit file would hold it: any shape, values in [0,1]."""
    return frame.clamp(0, 1).mul_(255).round_().div_(255)
