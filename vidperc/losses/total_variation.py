"""Total variation: how much a picture changes from pixel to pixel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from vidperc.losses.checks import check_pictures, wide
from vidperc.losses.term import Need, Opened, Term


def total_variation(out: Tensor, *, power: Literal[1, 2] = 1) -> Tensor:
    """The mean of |step down|^power plus the mean of |step across|^power; 0 for a picture of one colour.

    out: (...,3,H,W) RGB in [0,1], sides of at least 2 pixels. power: 1 keeps edges (Rudin, Osher, Fatemi), 2 rounds
    them, as Johnson et al. have it. Means, so that the weight does not depend on the size of the picture: a weight for
    sums is this one over the number of values.
    Returns a scalar, float32 or float64. Raises ValueError for anything else.
    Source: L. Rudin, S. Osher, E. Fatemi, "Nonlinear total variation based noise removal algorithms", 1992
    (doi:10.1016/0167-2789(92)90242-F), anisotropic; A. Mahendran, A. Vedaldi, 2015 (doi:10.1109/CVPR.2015.7299155).
    """
    if power not in (1, 2):
        raise ValueError(f"total-variation: got a power of {power}, wanted 1 or 2")
    check_pictures("total-variation", out, smallest=2)
    out = wide(out)
    down, across = out.diff(dim=-2), out.diff(dim=-1)
    if power == 1:
        return down.abs().mean() + across.abs().mean()
    return down.square().mean() + across.square().mean()


@dataclass(frozen=True, kw_only=True)
class TotalVariation(Term):
    """`total_variation` of out alone."""

    kind: Literal["total-variation"] = "total-variation"
    power: Literal[1, 2] = 1

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset()

    def open(self, weights: Path | None) -> Opened:
        return Opened(measure=lambda view: total_variation(view.out, power=self.power))
