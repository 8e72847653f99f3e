"""What is known of a video that is read otherwise than it is stored: deinterlaced, or turned as it is shown."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import floor

import av

from vidperc.errors import VidpercError
from vidperc.ops.turn import Turn
from vidperc.video.deinterlace import Deinterlace
from vidperc.video.index import FrameIndex
from vidperc.video.opening import open_input
from vidperc.video.probe import VideoInfo

_ONE = 1 << 16  # of a display matrix: 16.16 fixed point

# The matrix by degrees counter-clockwise, for files that state no more than the angle.
_MATRICES = {0: (1, 0, 0, 1), 90: (0, -1, 1, 0), 180: (-1, 0, 0, -1), 270: (0, 1, -1, 0)}


def turn_of(info: VideoInfo) -> Turn:
    """How a player turns and mirrors the picture.

    Raises VidpercError for an angle that is no multiple of 90 degrees.
    """
    if info.display_matrix is None:
        matrix = _MATRICES.get(info.rotation % 360)
    else:
        a, b, _, c, d = info.display_matrix[:5]
        matrix = (a // _ONE, b // _ONE, c // _ONE, d // _ONE)
        exact = all(abs(number) in (0, _ONE) for number in (a, b, c, d))
        matrix = matrix if exact and abs(matrix[0]) == abs(matrix[3]) != abs(matrix[1]) == abs(matrix[2]) else None
    if matrix is None:
        raise VidpercError(
            f"--bake-rotation: {info.path} is turned by {info.rotation} degrees, wanted a multiple of 90; without it, "
            f"the mark is kept"
        )
    # A pixel at x, y is shown at a x + c y, b x + d y, moved back into the picture.
    a, b, c, d = matrix
    return Turn(transposed=a == 0, mirrored=a + c < 0, upside_down=b + d < 0)


def turned_info(info: VideoInfo, turn: Turn) -> VideoInfo:
    """What is known of a video whose pictures are turned like this when they are read."""
    width, height = turn.size(info.width, info.height)
    aspect = 1 / info.sample_aspect if turn.transposed and info.sample_aspect else info.sample_aspect
    return replace(info, width=width, height=height, sample_aspect=aspect, rotation=0, display_matrix=None)


def origin_of(info: VideoInfo, index: FrameIndex) -> int:
    """The time, in ticks, that has to become 0 in an output of the whole: below 0 where the source begins before it.

    Broadcasts do whose clock runs over in the middle. Matroska has no such times, MP4 and MOV hide what has them.
    Nothing of any stream is then before the 0 of the output, so that all keep their distances.
    """
    if index.pts[0] >= 0:
        return 0
    with open_input(info.path) as container:
        begins = Fraction(container.start_time or 0, av.time_base)
    return min(index.pts[0], floor(begins / info.time_base))


def deinterlaced_info(info: VideoInfo, mode: Deinterlace) -> VideoInfo:
    """What is known of a video when it is read in this way."""
    if mode == "field":
        info = replace(info, time_base=info.time_base / 2, rate=info.rate * 2)
    return replace(info, interlaced=False) if mode else info


def deinterlaced_index(index: FrameIndex, mode: Deinterlace) -> FrameIndex:
    """When the pictures are shown that a video gives when it is read in this way.

    A keyframe's own picture needs the frame before it, so decoding from there is whole from the next one on.
    """
    if not mode:
        return index
    pts, ticks = index.pts, 2 if mode == "field" else 1
    after = dict(pairwise(pts))
    keyframes = tuple((after[key] * ticks, time) for key, time in index.keyframes if key in after)
    if mode == "frame":
        return replace(index, keyframes=keyframes)
    if len(pts) == 1:
        return replace(index, pts=(2 * pts[0],), keyframes=(), last_duration=2 * index.last_duration)
    beyond = [*pts[1:], 2 * pts[-1] - pts[-2]]
    return replace(
        index,
        pts=tuple(time for one, other in zip(pts, beyond, strict=True) for time in (2 * one, one + other)),
        keyframes=keyframes,
        last_duration=max(1, 2 * index.last_duration - (pts[-1] - pts[-2])),
        nbytes=tuple(half for size in index.nbytes for half in (size - size // 2, size // 2)),
    )
