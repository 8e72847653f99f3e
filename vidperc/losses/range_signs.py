"""Signs in a picture's values that it is in another range than the declared one, though they would fit it."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

# A few thousand values show that a picture is not of whole 255ths; only where they are, all are looked at.
_LOOKED_AT = 4096
# What float32 leaves of a whole number, after a multiplication or two.
_ROUNDING = 1e-3
# Of a picture in [0,1], after resampling.
_RESAMPLED_WHITE = 1.2
# As codes, pictures in [-1,1] or normalised are black: none of their values is above this,
_BLACK = 3.0
# and some are lower than resampled black is.
_BELOW_BLACK = -0.3


def other_range(
    picture: Tensor, declared: Literal["unit", "signed", "codes", "imagenet"], low: float, high: float, *, made: bool
) -> str:
    """What speaks against the declared range, to end a message with; nothing where nothing does.

    picture: as it is stored. low, high: its smallest and largest value. made: by a network, which may give anything at
    first; a picture of the world has more to tell: colours of 8 bits stay whole 255ths in [0,1], odd ones in [-1,1],
    and neither once normalised; what was clipped to [0,1] has zeros and nothing below. Pictures of one value tell
    nothing.
    """
    if not low < high:
        return ""
    if declared == "codes":
        # Fractions from 0 to 1 would be all but black; a black frame of whole numbers may pass.
        bright = high > 1 or low < 0 if made else high > _RESAMPLED_WHITE
        if not bright and high > 0 and not _whole(picture):
            return "they would be all but black"
        return "they would be black and less" if not made and high <= _BLACK and low < _BELOW_BLACK else ""
    if made or low < -1 or high > 1:
        return ""
    if declared == "unit":
        return "negative whole 255ths are of a picture in [-1,1]" if low < 0 and _whole(picture, 255) else ""
    if declared == "signed":
        if low == 0:
            return "nothing below 0, and 0 itself, are of a picture in [0,1]"
        even = low > 0 and _whole(picture, 255) and not _whole(picture - 1 / 255, 255 / 2)
        return "whole 255ths, even ones among them, are of a picture in [0,1]" if even else ""
    if low in (-1, 0) or high == 1:
        return f"bounds of exactly {low:g} and {high:g} are not of a normalised picture"
    return "whole 255ths are not of a normalised picture" if _whole(picture, 255) else ""


def _whole(values: Tensor, times: float = 1) -> bool:
    """Whether all are whole numbers once multiplied, but for rounding."""
    values = values.detach().flatten()
    for part in (values[:: max(1, len(values) // _LOOKED_AT)], values):
        part = part * times
        if float((part - part.round()).abs().max()) > _ROUNDING:
            return False
    return True
