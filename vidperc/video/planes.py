"""The planes of a decoded frame as arrays, without a copy, and frames made of such arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
from av.codec.codec import find_best_pix_fmt_of_list
from av.video.frame import PictureType, VideoFrame
from numpy.typing import NDArray

from vidperc.ops.layout import LAYOUTS, PixelLayout

if TYPE_CHECKING:
    from av.video.plane import VideoPlane
    from av.video.reformatter import VideoReformatter

    from vidperc.clip import Color

Plane: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int16]

# The full-range twins of FFmpeg; the range travels in Color.
_SAME_LAYOUT = {"yuvj420p": "yuv420p", "yuvj422p": "yuv422p", "yuvj444p": "yuv444p"}


def layout_of(pix_fmt: str) -> PixelLayout:
    """The layout that frames of this format are read in: their own, or the nearest that holds all of it."""
    name = _SAME_LAYOUT.get(pix_fmt, pix_fmt)
    if name in LAYOUTS:
        return LAYOUTS[name]
    best, _ = find_best_pix_fmt_of_list(list(LAYOUTS), pix_fmt, has_alpha=True)
    return LAYOUTS[best.name if best is not None else "yuv444p"]


def frame_planes(frame: VideoFrame, layout: PixelLayout, reformatter: VideoReformatter) -> list[Plane]:
    """The planes of a frame, (h,w) each, as views into it where it has the layout already.

    The views are valid while the frame is alive.
    """
    if _SAME_LAYOUT.get(frame.format.name, frame.format.name) != layout.name:
        frame = reformatter.reformat(frame, format=layout.name)
    return [
        _view(frame.planes[index], layout, *layout.plane_size(index, frame.width, frame.height))
        for index in range(layout.all_planes)
    ]


def frame_from_planes(
    planes: Sequence[Plane], layout: PixelLayout, color: Color, *, carrier: VideoFrame | None = None
) -> VideoFrame:
    """A frame that holds copies of the planes, tagged with the colour description.

    carrier: a frame of any size, whose captions it has too; nothing else makes a frame have them.
    """
    height, width = planes[0].shape
    if carrier is None:
        frame = VideoFrame(width, height, layout.name)
    else:
        frame = carrier.reformat(width=width, height=height, format=layout.name)
        frame.pict_type = int(PictureType.NONE)  # the encoder chooses; the source's choice would bind it
    for index, plane in enumerate(planes):
        view = _view(frame.planes[index], layout, *plane.shape)
        view[...] = plane
    frame.colorspace = color.matrix
    frame.color_range = 2 if color.full_range else 1
    frame.color_primaries = color.primaries
    frame.color_trc = color.transfer
    return frame


def _view(plane: VideoPlane, layout: PixelLayout, height: int, width: int) -> Plane:
    dtype = np.uint8 if layout.bits == 8 else np.uint16
    samples = cast("Plane", np.frombuffer(cast("bytes", plane), dtype))  # a buffer, which the stubs do not say
    return samples.reshape(-1, plane.line_size // dtype().itemsize)[:height, :width]
