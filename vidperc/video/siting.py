"""Where chroma sits between the pixels, as streams state it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av.error
import av.logging
from av.bitstream import BitStreamFilterContext

if TYPE_CHECKING:
    from av.video.stream import VideoStream

# ITU-T H.273, ChromaLocType: what the encoder option chroma_sample_location calls it. The bottom ones are not written.
SITING_NAMES = {0: "left", 1: "center", 2: "topleft", 3: "top"}

# Codecs that have it in the middle and no way to say so.
_CENTRED = frozenset({"mjpeg", "mpeg1video"})

# AV1, 6.4.2: chroma_sample_position.
_AV1_POSITIONS = {1: 0, 2: 2}


def stated_siting(stream: VideoStream) -> int | None:
    """The ChromaLocType of a stream, 0 to 3; None where it does not say, or says a place that we do not resample for.

    Nothing in PyAV tells; FFmpeg's filter that traces headers spells them out when it is opened, from those that the
    container holds.
    """
    codec = stream.codec_context.name
    if codec in _CENTRED:
        return 1
    if codec not in ("h264", "hevc", "av1", "libdav1d"):
        return None
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        with av.logging.Capture() as messages:
            BitStreamFilterContext("trace_headers", stream)
    except (av.error.FFmpegError, ValueError):
        return None  # no header that it can read; the decoder will say more
    finally:
        av.logging.set_level(level)
    for _, _, text in messages:
        if "chroma_sample_loc_type_top_field" in text:
            found = int(text.rpartition("=")[2])
            return found if found in SITING_NAMES else None
        if "chroma_sample_position" in text:
            return _AV1_POSITIONS.get(int(text.rpartition("=")[2]))
    return None
