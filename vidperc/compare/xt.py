"""x-t slices: one row of a video over time, in which what flickers or lags shows at a glance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from vidperc.compare.panels import Picture, codes, titled
from vidperc.ops.resize import resize

MOST_INSTANTS = 600
# Of each slice; wider rows show their middle, for shrinking them would take away what is looked for.
MOST_WIDE_PX = 958
_GAP_PX = 4
_HIGH_PX = 300  # few instants are drawn as high as this, so that they can be seen

Row = tuple[Picture, Picture]  # of SOURCE enlarged and of OUT, (1, W, 3) each


def instants(count: int) -> range:
    """Which of so many frames are drawn: consecutive ones, for flicker is between neighbours; those in the middle."""
    first = max(0, (count - MOST_INSTANTS) // 2)
    return range(first, min(count, first + MOST_INSTANTS))


def middle_row(source: Tensor, out: Tensor) -> Row:
    """The middle row of OUT (3,H,W), and of SOURCE (3,h,w) after bicubic resizing to that size."""
    height, width = out.shape[-2:]
    large = resize(source[None], (height, width), "bicubic")[0]
    first = max(0, (width - MOST_WIDE_PX) // 2)
    rows = [
        codes(frame[:, height // 2 : height // 2 + 1, first : min(width, first + MOST_WIDE_PX)])
        for frame in (large, out)
    ]
    return rows[0], rows[1]


def xt_picture(rows: Sequence[Row], titles: tuple[str, str]) -> Picture:
    """Both slices side by side under their titles: time runs downwards, one row of pixels or several to an instant."""
    repeat = max(1, _HIGH_PX // len(rows))
    slices = [np.concatenate([row[place] for row in rows]).repeat(repeat, axis=0) for place in (0, 1)]
    one, other = (titled(part, title) for part, title in zip(slices, titles, strict=True))
    gap = np.full((one.shape[0], _GAP_PX, 3), 255, np.uint8)
    return np.concatenate([one, gap, other], axis=1)
