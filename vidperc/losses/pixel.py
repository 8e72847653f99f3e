"""Losses of single pixels: L1, MSE, Charbonnier."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vidperc.losses.checks import check_pictures, finite, wide
from vidperc.losses.term import Opened, Term
from vidperc.ops.color import rgb_luma

EPSILON = 1e-6

_AROUND = 3  # pixels on each side


def l1(out: Tensor, true: Tensor) -> Tensor:
    """The mean of |out - true| over everything; its best guess of what cannot be known is the median.

    out, true: (...,3,H,W) RGB in [0,1]. Returns a scalar, float32 or float64. Raises ValueError for anything else.
    """
    check_pictures("l1", out, true)
    return (wide(out) - wide(true)).abs().mean()


def l1_on_smooth_ground(out: Tensor, true: Tensor, *, texture: float) -> Tensor:
    """`l1` where there is nothing to see: each difference counts 1 / (1 + (s / texture)^2).

    s is the standard deviation of true luma over the 7x7 pixels around. texture: the s at which a pixel counts half, in
    the units of [0,1]. Feature losses take noise, and grids of single pixels, for the texture that they ask for, and on
    smooth ground the eye does not; this keeps them off it.
    Raises ValueError as `l1` does.
    """
    check_pictures("l1", out, true)
    ground = wide(true)
    with torch.no_grad():
        luma = rgb_luma(ground.reshape(-1, *ground.shape[-3:]))
        near = F.pad(luma - 0.5, (_AROUND,) * 4, mode="replicate")
        side = 2 * _AROUND + 1
        variance = F.avg_pool2d(near.square(), side, 1) - F.avg_pool2d(near, side, 1).square()
        counts = (1 / (1 + variance.clamp_(min=0) / texture**2)).view(*ground.shape[:-3], 1, *ground.shape[-2:])
    return (counts * (wide(out) - ground).abs()).mean()


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
    """`l1`; with texture, `l1_on_smooth_ground`."""

    kind: Literal["l1"] = "l1"
    texture: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.texture is not None and not 0 < self.texture < math.inf:
            raise ValueError(f"texture: got {self.texture}, wanted a number above 0")

    def open(self, weights: Path | None) -> Opened:
        texture = self.texture
        if texture is None:
            return Opened(measure=lambda view: l1(view.out, view.true))
        return Opened(measure=lambda view: l1_on_smooth_ground(view.out, view.true, texture=texture))


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
