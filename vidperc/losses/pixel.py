"""Losses of single pixels: L1, MSE, Charbonnier."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from vidperc.losses.checks import check_pictures, finite, wide
from vidperc.losses.term import Opened, Term

EPSILON = 1e-6


def l1(out: Tensor, true: Tensor) -> Tensor:
    """The mean of |out - true| over everything; its best guess of what cannot be known is the median.

    out, true: (...,3,H,W) RGB in [0,1]. Returns a scalar, float32 or float64. Raises ValueError for anything else.
    """
    check_pictures("l1", out, true)
    return (wide(out) - wide(true)).abs().mean()


def mse(out: Tensor, true: Tensor) -> Tensor:
    """The mean of (out - true)^2 over everything; its best guess of what cannot be known is the mean.

    As `l1` for the rest.
    """
    check_pictures("mse", out, true)
    return finite("mse", "the mean of squares", (wide(out) - wide(true)).square().mean())


def charbonnier(out: Tensor, true: Tensor, *, epsilon: float = EPSILON) -> Tensor:
    """The mean of sqrt((out - true)^2 + epsilon^2): L1 with a round bottom; epsilon where both are equal.

    As `l1` for the rest.
    Source: P. Charbonnier et al., "Two deterministic half-quadratic regularization algorithms for computed imaging",
    1994 (doi:10.1109/ICIP.1994.413553); with this epsilon W.-S. Lai et al., "Deep Laplacian Pyramid Networks", 2017.
    """
    check_pictures("charbonnier", out, true)
    return finite("charbonnier", "the mean", ((wide(out) - wide(true)).square() + epsilon**2).sqrt().mean())


@dataclass(frozen=True, kw_only=True)
class L1(Term):
    """`l1`."""

    kind: Literal["l1"] = "l1"

    def open(self, weights: Path | None) -> Opened:
        return Opened(measure=lambda view: l1(view.out, view.true))


@dataclass(frozen=True, kw_only=True)
class Mse(Term):
    """`mse`."""

    kind: Literal["mse"] = "mse"

    def open(self, weights: Path | None) -> Opened:
        return Opened(measure=lambda view: mse(view.out, view.true))


@dataclass(frozen=True, kw_only=True)
class Charbonnier(Term):
    """`charbonnier`. epsilon: in the units of [0,1]."""

    kind: Literal["charbonnier"] = "charbonnier"
    epsilon: float = EPSILON

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.epsilon < math.inf:
            raise ValueError(f"epsilon: got {self.epsilon}, wanted a number above 0")

    def open(self, weights: Path | None) -> Opened:
        return Opened(measure=lambda view: charbonnier(view.out, view.true, epsilon=self.epsilon))
