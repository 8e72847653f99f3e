"""What each frame of a stream states of itself, and in what it is not like the first, for that may change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from vidperc.clip import Color
from vidperc.ops.matrices import KNOWN_MATRICES, LUMA_WEIGHTS, UNSPECIFIED
from vidperc.video.planes import layout_of

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

# Matrices that FFmpeg's scaler does not have: it refuses frames that state them.
FOREIGN_TO_FFMPEG = KNOWN_MATRICES - LUMA_WEIGHTS.keys()

BT709, BT601 = 1, 6
HD_LINES = 720


def usual_matrix(lines: int) -> int:
    """What a picture of so many lines has that states no matrix."""
    return BT709 if lines >= HD_LINES else BT601


@dataclass(frozen=True, kw_only=True)
class Stated:
    """What one frame states, by the codes of Color.

    full_range: None where it does not say. aspect: of a pixel, as the codec has it.
    """

    pix_fmt: str
    lines: int
    matrix: int
    full_range: bool | None
    primaries: int
    transfer: int
    aspect: Fraction | None
    interlaced: bool


def state(frame: VideoFrame, context: VideoCodecContext) -> Stated:
    """What a frame states, fresh from its decoder.

    The frame then carries it as its `opaque`, also through filters, and no more a matrix that FFmpeg would refuse to
    convert, be it only in depth.
    """
    if frame.format.name.startswith("yuvj") or frame.color_range == 2:
        full_range = True
    else:
        full_range = False if frame.color_range == 1 else None
    found = Stated(
        pix_fmt=frame.format.name,
        lines=frame.height,
        matrix=frame.colorspace,
        full_range=full_range,
        primaries=frame.color_primaries,
        transfer=frame.color_trc,
        aspect=context.sample_aspect_ratio or None,
        interlaced=frame.interlaced_frame,
    )
    if found.matrix in FOREIGN_TO_FFMPEG:
        frame.colorspace = UNSPECIFIED
    frame.opaque = found
    return found


def own_color(stated: Stated | None, color: Color) -> Color:
    """How the codes of a frame are read: as it states, and else as the first one's, whose colour this is."""
    if stated is None:
        return color
    layout = layout_of(stated.pix_fmt)
    if layout.rgb:
        return color
    matrix, full_range = color.matrix, color.full_range
    if matrix == 0:  # the first one is RGB, which says nothing of this one
        matrix, full_range = usual_matrix(stated.lines), False
    if stated.matrix in KNOWN_MATRICES and layout.planes > 1:  # grey has none
        matrix = stated.matrix
    if stated.full_range is not None:
        full_range = stated.full_range
    if (matrix, full_range) == (color.matrix, color.full_range):
        return color
    return replace(color, matrix=matrix, full_range=full_range)


def changes(stated: Stated, *, pix_fmt: str, color: Color, aspect: Fraction | None) -> set[str]:
    """In what a frame is not like the first, by the names that Counts has for it.

    pix_fmt, color, aspect: of the first, with all that was assumed; no aspect where the container's own holds for all.
    """
    was, here = layout_of(pix_fmt), layout_of(stated.pix_fmt)
    found: set[str] = set()
    if here.bits != was.bits:
        found.add("other_depth_frames")
    if (here.rgb, here.planes, here.shift_x, here.shift_y) != (was.rgb, was.planes, was.shift_x, was.shift_y):
        found.add("other_chroma_frames")
    if not here.rgb and not was.rgb and own_color(stated, color) != color:
        found.add("other_colour_frames")
    light = zip((stated.primaries, stated.transfer), (color.primaries, color.transfer), strict=True)
    if any(here != was and UNSPECIFIED not in (here, was) for here, was in light):
        found.add("other_light_frames")
    if None not in (stated.aspect, aspect) and stated.aspect != aspect:
        found.add("other_aspect_frames")
    return found
