"""Where chroma sits between the pixels, as streams state it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from vidperc.video.header import matroska_header

if TYPE_CHECKING:
    from av.video.stream import VideoStream

# ITU-T H.273, ChromaLocType: what the encoder option chroma_sample_location calls it. The bottom ones are not written.
SITING_NAMES = {0: "left", 1: "center", 2: "topleft", 3: "top"}

# Codecs that have it in one place and no way to say so: in the middle, or as DV with its fields.
_SETTLED = {"mjpeg": 1, "mpeg1video": 1, "theora": 1, "h261": 1, "h263": 1, "h263p": 1, "dvvideo": 2}

# ChromaSitingHorz and ChromaSitingVert (RFC 9559, 5.1.4.1.28.26), as FFmpeg writes them, one behind the other.
_MATROSKA_SITING = re.compile(rb"\x55\xb7\x81([\x01\x02])\x55\xb8\x81([\x01\x02])")
_BY_SIDES = {(1, 2): 0, (2, 2): 1, (1, 1): 2, (2, 1): 3}  # 1 is left or top, 2 the middle

# What the first line of a y4m calls its chroma; FFmpeg, too, takes the bare word for the middle.
_Y4M_WORDS = {"420": 1, "420jpeg": 1, "420mpeg2": 0, "420paldv": 2}
_Y4M_LINE = 200  # bytes; more than any reader takes


def stated_siting(stream: VideoStream) -> int | None:
    """The ChromaLocType of a stream, 0 to 3; None where it does not say, or says a place that we do not resample for.

    Left, too, where the codec means that when it says nothing.
    """
    codec = stream.codec_context.name
    if codec in _SETTLED:
        return _SETTLED[codec]
    if stream.container.format.name == "yuv4mpegpipe":
        return _of_y4m(Path(stream.container.name))
    found = _MATROSKA_SITING.search(matroska_header(stream))
    return _BY_SIDES[found[1][0], found[2][0]] if found else None


def _of_y4m(path: Path) -> int | None:
    """What the first line of a y4m says."""
    with path.open("rb") as file:
        words = file.read(_Y4M_LINE).partition(b"\n")[0].decode("ascii", "replace").split(" ")
    return next((_Y4M_WORDS.get(word[1:]) for word in words if word.startswith("C")), None)
