"""A network's mean over turned and mirrored copies of a frame: what it is unsure of differs between them, and cancels.

Source: R. Timofte, R. Rothe, L. Van Gool, "Seven Ways to Improve Example-Based Single Image Super Resolution", 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

COUNTS = (1, 2, 4, 8)

# The axes along which a frame (T,C,h,w) is mirrored; both are a turn by half.
_MIRRORED = ((), (2, 3), (3,), (2,))


def check_ensemble(count: int) -> None:
    """Raises ValueError for a number of orientations that is none of COUNTS."""
    if count not in COUNTS:
        raise ValueError(f"ensemble: got {count}, wanted 1, 2, 4 or 8 orientations")


def in_orientations(enlarge: Callable[[Tensor], Tensor], count: int) -> Callable[[Tensor], Tensor]:
    """A function that gives the mean of what `enlarge` makes of frames (T,C,h,w) in so many orientations.

    count: of COUNTS. 1 is `enlarge` itself; 2 adds the frame turned by half, 4 the two mirrored ones, 8 all of these
    transposed. It takes as many times as long, and the memory of two more results of a frame; no gradients.
    """
    if count == 1:
        return enlarge

    def of_one(frame: Tensor) -> Tensor:
        total = enlarge(frame)
        for place in range(1, count):
            made = enlarge(_turned(frame, place).contiguous())
            total = total.add_(_turned_back(made, place))
        return total.div_(count)

    def mean(frames: Tensor) -> Tensor:
        import torch

        with torch.inference_mode():
            made = [of_one(frames[place : place + 1]) for place in range(len(frames))]
            return made[0] if len(made) == 1 else torch.cat(made)

    return mean


def _turned(frame: Tensor, place: int) -> Tensor:
    """A frame in one of eight orientations; the first is its own."""
    mirrored = frame.flip(_MIRRORED[place % 4])
    return mirrored.transpose(2, 3) if place >= 4 else mirrored


def _turned_back(frame: Tensor, place: int) -> Tensor:
    frame = frame.transpose(2, 3) if place >= 4 else frame
    return frame.flip(_MIRRORED[place % 4])
