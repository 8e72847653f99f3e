"""Every flow estimator, what it takes and the smallest frames it works on. Importing this imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from vidperc.errors import VidpercError

EstimatorName = Literal["dis", "farneback", "raft-small", "raft-large"]
Preset = Literal["ultrafast", "fast", "balanced", "medium"]

DEFAULT_ESTIMATOR: EstimatorName = "dis"
DEFAULT_PRESET: Preset = "fast"


@dataclass(frozen=True, kw_only=True)
class EstimatorCard:
    """What an estimator takes.

    smallest: the shortest side that it works on, in pixels. presets: it has some. weights: it is a network.
    """

    smallest: int
    presets: bool = False
    weights: bool = False


ESTIMATORS: Mapping[EstimatorName, EstimatorCard] = {
    "dis": EstimatorCard(smallest=16, presets=True),
    "farneback": EstimatorCard(smallest=16),
    "raft-small": EstimatorCard(smallest=128, weights=True),
    "raft-large": EstimatorCard(smallest=128, weights=True),
}


def working_size(width: int, height: int, size: int) -> tuple[int, int]:
    """Width and height with `size` pixels on the short side, never more than there are; 0 for all there are."""
    short = min(width, height)
    if size <= 0 or size >= short:
        return width, height
    return tuple(max(1, round(side * size / short)) for side in (width, height))  # pyright: ignore[reportReturnType]


def check_size(name: EstimatorName, width: int, height: int, size: int = 0) -> None:
    """Raises VidpercError when frames of this width and height, shrunk to `size`, are too small for an estimator."""
    smallest, short = ESTIMATORS[name].smallest, min(working_size(width, height, size))
    if short >= smallest:
        return
    at = f"{width}x{height}" + (f" at size {size}" if short < min(width, height) else "")
    todo = "ask for a larger size" if min(width, height) >= smallest else "use another estimator, or larger frames"
    if min(width, height) < smallest and min(width, height) >= ESTIMATORS["dis"].smallest:
        todo = "use the estimator dis"
    raise VidpercError(f"motion: {name} got frames of {at}, wanted sides of at least {smallest} pixels; {todo}")


def held_bytes(name: EstimatorName, pixels: int, chunk: int) -> int:
    """What finding motion takes at most, measured: of frames of this many pixels, so many of them in a step.

    A RAFT compares every eighth pixel each way with every other: what it takes grows with the square of the pixels.
    """
    per_pixel = {"dis": 130, "farneback": 130, "raft-small": 400, "raft-large": 1000}[name]
    compared = 12 * (pixels // 64) ** 2 if ESTIMATORS[name].weights else 0
    return per_pixel * pixels + compared + 50 * chunk * pixels
