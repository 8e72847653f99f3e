"""Lattice: what repeats in step with the cells that an enlarging network makes its pixels in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from vidperc.losses.checks import check_pictures, wide
from vidperc.losses.term import Opened, Term

# Over so many cells, down and across, a place in a cell is averaged. With 8 a network draws its grid the other way
# round from petal to petal, and it does not count.
_CELLS = 2


def lattice(out: Tensor, true: Tensor, *, period: int) -> Tensor:
    """How much out - true differs between the places of a cell, each averaged over 2x2 cells: the mean of |difference|.

    A network that ends in a PixelShuffle makes each of the period^2 pixels of a cell by weights of their own. Where a
    loss asks for texture and the network cannot know which, the cheapest one is a grid that is in step with the cells.
    Texture of the true kind has no step to keep, and partly averages out. Windows overlap by half.
    out, true: (...,3,H,W) RGB in [0,1], sides of at least `period` pixels; what it does not divide is left out.
    period: side of a cell in pixels, the network's scale, at least 2. Where the first cell begins does not matter.
    Returns a scalar, float32 or float64. Raises ValueError for anything else.
    Source: our own; the artefact is that of A. Odena et al., "Deconvolution and Checkerboard Artifacts", 2016
    (doi:10.23915/distill.00003).
    """
    if period < 2:
        raise ValueError(f"lattice: got a period of {period}, wanted at least 2 pixels")
    check_pictures("lattice", out, true, smallest=period)
    wrong = (wide(out) - wide(true)).flatten(0, -4)  # (N,3,H,W)
    height, width = (side // period * period for side in wrong.shape[-2:])
    places = F.pixel_unshuffle(wrong[..., :height, :width], period)  # (N,3*period^2,h,w)
    window = min(_CELLS, places.shape[-2]), min(_CELLS, places.shape[-1])
    means = F.avg_pool2d(places, window, tuple(max(1, side // 2) for side in window))
    means = means.view(len(means), 3, period * period, *means.shape[-2:])
    return (means - means.mean(2, keepdim=True)).abs().mean()


@dataclass(frozen=True, kw_only=True)
class Lattice(Term):
    """`lattice`. period: the scale of the network that learns."""

    kind: Literal["lattice"] = "lattice"
    period: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.period < 2:
            raise ValueError(f"period: got {self.period}, wanted at least 2 pixels")

    def open(self, weights: Path | None) -> Opened:
        return Opened(measure=lambda view: lattice(view.out, view.true, period=self.period))
