"""Pictures with a line of text above each, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Picture = NDArray[np.uint8]  # (H, W, 3) RGB

BAR_PX = 22  # even, so that two rows of panels have an even height
_FONT, _LARGEST, _MARGIN_PX = cv2.FONT_HERSHEY_SIMPLEX, 0.5, 6


def codes(frame: Tensor) -> Picture:
    """A frame (3,H,W) of nominal [0,1] as 8-bit codes, (H,W,3); what is outside is clamped."""
    rounded = frame.clamp(0, 1).mul(255).round_().byte()
    return np.ascontiguousarray(rounded.permute(1, 2, 0).cpu().numpy())


def fitted(picture: Picture, size: tuple[int, int], *, smooth: bool = True) -> Picture:
    """A picture at another size (H,W): means where it shrinks; else bicubic, or whole pixels where it is not smooth."""
    height, width = picture.shape[:2]
    if (height, width) == size:
        return picture
    shrinks = size[0] <= height and size[1] <= width
    kernel = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
    return cast("Picture", cv2.resize(picture, (size[1], size[0]), interpolation=kernel))


def titled(picture: Picture, text: str) -> Picture:
    """The picture below a black bar of BAR_PX rows with a line of text, as small as it must be."""
    width = picture.shape[1]
    bar = np.zeros((BAR_PX, width, 3), np.uint8)
    (wide, _), _ = cv2.getTextSize(text, _FONT, _LARGEST, 1)
    scale = min(_LARGEST, _LARGEST * max(1, width - 2 * _MARGIN_PX) / max(1, wide))
    cv2.putText(bar, text, (_MARGIN_PX, BAR_PX - 7), _FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([bar, picture])


def grid(rows: Sequence[Sequence[Picture]]) -> Picture:
    """Pictures of one size as one."""
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])
