"""How a test set's small pictures are made of its large ones."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vidperc.ops.resize import resize

# Of the Gaussian, in sigmas; what programs of both phases take.
_REACH = 4.0


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
        return self.kind if self.kind == "bicubic" else f"bd@sigma{self.sigma or 1.5:g},{self.phase or 'centre'}"

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
            small = _blur_and_pick(frame, scale, self.sigma or 1.5, centre=self.phase != "corner")
        return eight_bits(small)


def eight_bits(frame: Tensor) -> Tensor:
    """A picture as an 8-bit file would hold it: any shape, values in [0,1]."""
    return frame.clamp(0, 1).mul_(255).round_().div_(255)


def _blur_and_pick(frame: Tensor, scale: int, sigma: float, *, centre: bool) -> Tensor:
    """The Gaussian taken only where a small pixel sits; its weights are those of the pixels around that place."""
    site = (scale - 1) / 2 if centre else 0.0
    reach = floor(_REACH * sigma)
    # In pixels from the first of each cell.
    places = torch.arange(floor(site) - reach, floor(site) + reach + 2)
    places = places[(places - site).abs() <= _REACH * sigma]
    weights = torch.exp(-0.5 * ((places - site) / sigma) ** 2)
    weights = weights / weights.sum()
    before = int(-places[0])
    after = max(int(places[-1]) - scale + 1, 0)
    # As the two programs do; neither is seen where the border is cropped.
    around = F.pad(frame[None], (before, after, before, after), mode="replicate" if centre else "reflect")
    kernel = weights.expand(3, 1, 1, -1)  # (3, 1, 1, taps)
    across = F.conv2d(around, kernel, stride=(1, scale), groups=3)
    return F.conv2d(across, kernel.transpose(2, 3), stride=(scale, 1), groups=3)[
        0, :, : frame.shape[1] // scale, : frame.shape[2] // scale
    ]
