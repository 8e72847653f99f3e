"""What a crop is worth learning from: whether there is anything in it, anything to add to it, and whether it moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch

from vidperc.ops.resize import resize
from vidperc.training.clips import ClipPixels, detail

# In 8-bit codes.
_FLAT, _SOFT, _STILL = 2.5, 1.0, 0.5

Fault = Literal["flat", "soft", "still", ""]


@dataclass(frozen=True)
class Worth:
    """Of a crop of a clip, in 8-bit codes.

    detail: how much neighbouring pixels differ, down and across together. lost: the root mean square of what shrinking
    takes and enlarging, both bicubic, does not give back: what a network has to add. moved: how much frames differ from
    the one before, at the one that differs most.
    """

    detail: float
    lost: float
    moved: float

    @property
    def fault(self) -> Fault:
        """Why nothing is to be learnt from it; empty where something is.

        flat: below 2.5 codes of detail. soft: below 1 code lost. still: no frame differs by 0.5 codes from the one
        before.
        """
        if self.detail < _FLAT:
            return "flat"
        if self.lost < _SOFT:
            return "soft"
        return "still" if self.moved < _STILL else ""


def worth(crop: ClipPixels, scale: int) -> Worth:
    """What a crop (T,S,S,3) uint8 is worth to a network that enlarges by the scale; S is a multiple of it.

    Detail is that of the middle frame, by which alone a clip is judged but for its movement.
    """
    side = crop.shape[1]
    middle = crop[len(crop) // 2]
    grey = torch.from_numpy(middle.mean(axis=2, dtype=np.float32))[None, None]
    again = resize(resize(grey, (side // scale, side // scale), "bicubic"), (side, side), "bicubic")
    # Cells of 8x8 pixels have no noise of their own: what it does to single ones is no movement.
    cells = np.empty((len(crop), side // 8, side // 8, 3), np.uint8)
    for frame, into in zip(crop, cells, strict=True):
        cv2.resize(frame, (side // 8, side // 8), dst=into, interpolation=cv2.INTER_AREA)
    moved = np.abs(np.diff(cells.astype(np.int16), axis=0)).mean(axis=(1, 2, 3)).max() if len(crop) > 1 else 0.0
    return Worth(detail(middle), float((grey - again).square().mean().sqrt()), float(moved))
