"""YUV4MPEG2 (y4m): a line of text, then bare pictures; what programs hand each other through pipes.

Source: the manual page yuv4mpeg(5) of mjpegtools; FFmpeg's yuv4mpegdec.c and yuv4mpegenc.c for
more than 8 bits and for the tag XCOLORRANGE.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from vidperc.clip import Color
from vidperc.errors import VidpercError
from vidperc.video.planes import frame_planes, layout_of

MAGIC = b"YUV4MPEG2 "
FRAME = b"FRAME\n"
JOB_TAG = "XVIDPERC="  # readers pass over tags that begin with an X
JOB_DIGITS = 10
MOST_HEADER = 95  # FFmpeg reads no first line that is longer

# By where 4:2:0 has its chroma, as in Color; only those of 8 bits have names. The last has none: in the middle is near.
_SITED = ("420mpeg2", "420jpeg", "420paldv", "420jpeg")


def y4m_header(
    *,
    width: int,
    height: int,
    rate: Fraction,
    pix_fmt: str,
    color: Color,
    sample_aspect: Fraction | None,
    identity: str = "",
) -> bytes:
    """The first line. rate: frames per second.

    identity: of the job, for a file, whose first digits are told where there is room; empty for a pipe.
    """
    aspect = "0:0" if sample_aspect is None else f"{sample_aspect.numerator}:{sample_aspect.denominator}"
    words = (
        f"W{width} H{height} F{rate.numerator}:{rate.denominator} Ip A{aspect} C{_space(pix_fmt, color.siting)} "
        f"XCOLORRANGE={'FULL' if color.full_range else 'LIMITED'}"
    )
    line = MAGIC + words.encode()
    told = f" {JOB_TAG}{identity[:JOB_DIGITS]}".encode() if identity else b""
    return line + (told if len(line + told) < MOST_HEADER else b"") + b"\n"


def _space(pix_fmt: str, siting: int) -> str:
    """The word for a pixel format."""
    layout = layout_of(pix_fmt)
    if layout.planes == 1:
        return "mono" if layout.bits == 8 else f"mono{layout.bits}"
    space = {(0, 0): "444", (1, 0): "422", (1, 1): "420"}[layout.shift_x, layout.shift_y]
    if layout.bits > 8:
        return f"{space}p{layout.bits}"
    return _SITED[siting] if space == "420" else space


def frame_bytes(pix_fmt: str, width: int, height: int) -> int:
    """What one frame takes, with the word before it."""
    layout = layout_of(pix_fmt)
    samples = sum(h * w for h, w in (layout.plane_size(plane, width, height) for plane in range(layout.planes)))
    return len(FRAME) + samples * (1 if layout.bits == 8 else 2)


def y4m_frames(segment: Path, pix_fmt: str) -> Iterator[list[bytes | memoryview]]:
    """The pieces to write of every frame of a finished segment, which is kept without loss."""
    layout, reformatter = layout_of(pix_fmt), VideoReformatter()
    with av.open(str(segment)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            planes = frame_planes(frame, layout, reformatter)
            yield [FRAME, *(np.ascontiguousarray(plane).data for plane in planes)]


def read_y4m_identity(path: Path) -> str | None:
    """The first digits of the identity of the job that made a file; None when it carries none."""
    with path.open("rb") as file:
        line = file.readline(4096)
    found = re.search(rb" " + JOB_TAG.encode() + rb"([0-9a-f]+)", line)
    return found[1].decode() if line.startswith(MAGIC) and found else None


def verify_y4m(path: Path, *, header: bytes, frames: int, pix_fmt: str, size: tuple[int, int]) -> None:
    """Look at a finished file: its first line, its length, and that its first and last frames are where they should be.

    Raises VidpercError naming the first difference.
    """
    each = frame_bytes(pix_fmt, *size)
    wanted = len(header) + frames * each
    got = path.stat().st_size
    if got != wanted:
        raise VidpercError(f"{path}: the output has {got} bytes, wanted {wanted}, for {frames} frames")
    with path.open("rb") as file:
        if file.read(len(header)) != header:
            raise VidpercError(f"{path}: the output does not begin as it should")
        for place in {0, frames - 1}:
            file.seek(len(header) + place * each)
            if file.read(len(FRAME)) != FRAME:
                raise VidpercError(f"{path}: frame {place} of the output is not where it should be")
