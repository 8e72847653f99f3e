"""Opponent colour loss: brightness and both differences of colours, each with a weight of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from vidperc.losses.checks import check_pictures, wide
from vidperc.losses.term import Opened, Term
from vidperc.perception.opponent import rgb_to_opponent


def opponent_loss(
    out: Tensor,
    true: Tensor,
    *,
    luminance: float = 1.0,
    red_green: float = 1.0,
    blue_yellow: float = 1.0,
    distance: Literal["l1", "l2"] = "l1",
) -> Tensor:
    """The mean over pixels and the three opponent channels of weight times |difference|, or its square with l2.

    out, true: (...,3,H,W) RGB in [0,1]. luminance, red_green, blue_yellow: the weights. The channels are those of
    `perception.opponent`, whose matrix is orthonormal: with l2 and three weights of 1 this is the MSE. More weight on
    the colours keeps a network from greying what it is not sure of; less lets luminance, which the eye sees sharper,
    count for more.
    Returns a scalar, float32 or float64, 0 where both are equal. Raises ValueError for anything else.
    """
    check_pictures("opponent", out, true)
    apart = rgb_to_opponent(wide(out) - wide(true))
    apart = apart.abs() if distance == "l1" else apart.square()
    weights = apart.new_tensor([luminance, red_green, blue_yellow]).view(3, 1, 1)
    return (apart * weights).mean()


@dataclass(frozen=True, kw_only=True)
class Opponent(Term):
    """`opponent_loss`."""

    kind: Literal["opponent"] = "opponent"
    luminance: float = 1.0
    red_green: float = 1.0
    blue_yellow: float = 1.0
    distance: Literal["l1", "l2"] = "l1"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("luminance", "red_green", "blue_yellow"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: got {getattr(self, name)}, wanted a weight of at least 0")

    def open(self, weights: Path | None) -> Opened:
        return Opened(
            measure=lambda view: opponent_loss(
                view.out,
                view.true,
                luminance=self.luminance,
                red_green=self.red_green,
                blue_yellow=self.blue_yellow,
                distance=self.distance,
            )
        )
