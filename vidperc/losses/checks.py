"""What every loss asks of the pictures it gets: shape, type, range; told with the name of the term."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Around [0,1], for networks overshoot; no picture in codes or in [-1,1] passes for one.
OVERSHOOT = 0.5
# This share of the values may be further out: single wild pixels must not end a training of hours.
WILD = 0.01


def wide(tensor: Tensor) -> Tensor:
    """The tensor in float32, or in float64 if it is so: sums and squares need it, under autocast too."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def check_pictures(name: str, *pictures: Tensor, smallest: int = 1) -> None:
    """Raises ValueError, beginning with the name of a term, unless all are RGB pictures of one shape in [0,1].

    pictures: (...,3,H,W) floating point with sides of at least `smallest` pixels.
    """
    check_shapes(name, *pictures, smallest=smallest)
    for picture in pictures:
        check_range(name, "a picture", picture)


def check_shapes(name: str, *pictures: Tensor, smallest: int = 1) -> None:
    """The part of `check_pictures` that looks at no value."""
    for picture in pictures:
        shape = tuple(picture.shape)
        if picture.ndim < 4 or shape[-3] != 3 or 0 in shape or not picture.is_floating_point():
            raise ValueError(f"{name}: got {shape} {picture.dtype}, wanted RGB (N,3,H,W) or (N,T,3,H,W) floats")
        if min(shape[-2:]) < smallest:
            raise ValueError(f"{name}: got {shape[-1]}x{shape[-2]}, wanted sides of at least {smallest} px")
    if len({picture.shape for picture in pictures}) > 1:
        told = " and ".join(str(tuple(picture.shape)) for picture in pictures)
        raise ValueError(f"{name}: got {told}, wanted equal shapes")


def check_range(name: str, what: str, picture: Tensor) -> None:
    """Raises ValueError, beginning with the name, for values that are no numbers or do not look like [0,1]."""
    low, high = bounds(name, what, picture)
    if not in_range(picture, low, high):
        raise ValueError(f"{name}: {what} has values from {low:g} to {high:g}, wanted RGB in [0,1]; convert it first")


def in_range(picture: Tensor, low: float, high: float, slack: float = OVERSHOOT) -> bool:
    """Whether a picture whose smallest and largest values are these looks like one in [0,1]."""
    if low >= -slack and high <= 1 + slack:
        return True
    values = picture.detach()
    return float(((values < -slack) | (values > 1 + slack)).float().mean()) <= WILD


def bounds(name: str, what: str, values: Tensor) -> tuple[float, float]:
    """The smallest and the largest. Raises ValueError, beginning with the name, for what is no finite number."""
    low, high = (float(bound) for bound in values.detach().aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name}: {what} holds NaN or infinity, wanted numbers; look at what made it")
    return low, high


def finite(name: str, what: str, value: Tensor) -> Tensor:
    """The value, a scalar. Raises ValueError, beginning with the name, where it is no finite number.

    Enough to look at for large features: what is not a number in one of them is none in their mean.
    """
    if not bool(torch.isfinite(value.detach())):
        raise ValueError(f"{name}: {what} holds NaN or infinity, wanted numbers; look at what made it")
    return value


def check_clip(name: str, clip: Tensor) -> None:
    """Raises ValueError, beginning with the name, unless this is (N,T,3,H,W) with at least two frames."""
    if clip.ndim != 5:
        raise ValueError(f"{name}: got {tuple(clip.shape)}, wanted clips (N,T,3,H,W)")
    if clip.shape[1] < 2:
        raise ValueError(f"{name}: got a clip of {clip.shape[1]} frame, wanted at least 2 frames")
