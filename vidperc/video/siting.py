"""Where chroma sits between the pixels, as streams state it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import av.error
import av.logging
from av.bitstream import BitStreamFilterContext

if TYPE_CHECKING:
    from av.video.stream import VideoStream

# ITU-T H.273, ChromaLocType: what the encoder option chroma_sample_location calls it. The bottom ones are not written.
SITING_NAMES = {0: "left", 1: "center", 2: "topleft", 3: "top"}

# Codecs that have it in one place and no way to say so: in the middle, or as DV with its fields.
_SETTLED = {"mjpeg": 1, "mpeg1video": 1, "theora": 1, "h261": 1, "h263": 1, "h263p": 1, "dvvideo": 2}

# AV1, 6.4.2: chroma_sample_position.
_AV1_POSITIONS = {1: 0, 2: 2}

# What the first line of a y4m calls its chroma; FFmpeg, too, takes the bare word for the middle.
_Y4M_WORDS = {"420": 1, "420jpeg": 1, "420mpeg2": 0, "420paldv": 2}
_Y4M_LINE = 200  # bytes; more than any reader takes


def stated_siting(stream: VideoStream) -> int | None:
    """The ChromaLocType of a stream, 0 to 3; None where it does not say, or says a place that we do not resample for.

    Nothing in PyAV tells; FFmpeg's filter that traces headers spells them out when it is opened, from those that the
    container holds.
    """
    codec = stream.codec_context.name
    if codec in _SETTLED:
        return _SETTLED[codec]
    if stream.container.format.name == "yuv4mpegpipe":
        return _of_y4m(Path(stream.container.name))
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


def _of_y4m(path: Path) -> int | None:
    """What the first line of a y4m says."""
    with path.open("rb") as file:
        words = file.read(_Y4M_LINE).partition(b"\n")[0].decode("ascii", "replace").split(" ")
    return next((_Y4M_WORDS.get(word[1:]) for word in words if word.startswith("C")), None)
