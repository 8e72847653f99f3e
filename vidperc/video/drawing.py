"""Drawn pictures as a video, each at its exact time: for people who look, and quick to make."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from vidperc.errors import VidpercError
from vidperc.video.identity import append_identity, identity_tags
from vidperc.video.output import CONTAINERS, MP4_FAMILY

if TYPE_CHECKING:
    from av.video.stream import VideoStream

Picture = NDArray[np.uint8]  # (H, W, 3) RGB

# What `read_identity` finds in such a video: it is ours, and may be written anew.
IDENTITY = "drawing"

# No B-frames: every picture is decoded when it is shown, so that no container has to move times. Text stays legible.
_OPTIONS = {"preset": "veryfast", "crf": "18", "bf": "0"}
_BT709 = 1


@contextmanager
def video_of_pictures(
    path: Path,
    *,
    width: int,
    height: int,
    time_base: Fraction,
    rate: Fraction,
    sample_aspect: Fraction | None = None,
) -> Generator[Callable[[Picture, int], None], None, None]:
    """A function that adds a picture, shown at so many ticks of time_base, to a new video, H.264 in MP4 or Matroska.

    width, height: even. rate: for rate control alone.
    Left by an exception, the file is removed.
    Raises VidpercError when it cannot be written.
    """
    options = {"avoid_negative_ts": "disabled"}
    if path.suffix.lower() in MP4_FAMILY:
        # The times of the source are whole ticks of these, and a start that is not 0 is, too.
        ticks = time_base.denominator
        options = {"video_track_timescale": str(ticks), "movie_timescale": str(ticks * -(-90000 // ticks))}
    container = CONTAINERS[path.suffix.lower()]
    try:
        output = av.open(str(path.absolute()), "w", format=container, container_options=options)
    except (av.error.FFmpegError, OSError) as error:
        raise VidpercError(f"{path}: cannot be written ({error.strerror})") from error
    whole = False
    try:
        output.metadata.update(identity_tags(container, IDENTITY))
        stream: VideoStream = output.add_stream("libx264", rate=rate, options=_OPTIONS)  # pyright: ignore[reportAssignmentType]
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = time_base
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = 1
        if sample_aspect is not None:
            stream.sample_aspect_ratio = sample_aspect
        reformatter = VideoReformatter()

        def add(picture: Picture, pts: int) -> None:
            frame = reformatter.reformat(
                VideoFrame.from_ndarray(picture, "rgb24"),
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
            )
            frame.pts, frame.time_base = pts, time_base
            output.mux(stream.encode(frame))

        yield add
        output.mux(stream.encode(None))
        output.close()
        whole = True
    finally:
        if not whole:
            with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):  # another error is on its way up
                output.close()
            path.unlink(missing_ok=True)
    if path.suffix.lower() in MP4_FAMILY:
        append_identity(path, IDENTITY)
