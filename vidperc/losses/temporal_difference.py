"""Temporal difference: a clip should change from frame to frame as the true one does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from vidperc.losses.checks import check_clip, check_pictures, wide
from vidperc.losses.term import Need, Opened, Term


def temporal_difference(out: Tensor, true: Tensor) -> Tensor:
    """The mean of |(out_t - out_{t-1}) - (true_t - true_{t-1})|: 0 where both change alike, whatever they show.

    out, true: (N,T,3,H,W) RGB in [0,1], T of at least 2. Needs no motion. A constant error is not seen: it is for the
    company of a loss that sees it.
    Returns a scalar, float32 or float64. Raises ValueError for anything else.
    """
    check_clip("temporal-difference", out)
    check_pictures("temporal-difference", out, true)
    return (wide(out).diff(dim=1) - wide(true).diff(dim=1)).abs().mean()


@dataclass(frozen=True, kw_only=True)
class TemporalDifference(Term):
    """`temporal_difference`."""

    kind: Literal["temporal-difference"] = "temporal-difference"

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"true", "clip"})

    def open(self, weights: Path | None) -> Opened:
        return Opened(measure=lambda view: temporal_difference(view.out, view.true))
