"""Captions that travel inside the frames of a video (CEA-608 and 708, as ATSC A/53 carries them)."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from vidperc.video.fates import Fate
from vidperc.video.side_data import has_profile, side_data
from vidperc.video.source import read_frames

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# Encoders of FFmpeg that write them.
WRITE_CAPTIONS = frozenset({"libx264", "libx265", "mpeg2video"})

LOOK_FRAMES = 48  # from the start; captions come with most frames, or with a few in a second, where there are any yet

# What marks them in a packet (ATSC A/53, part 4): country, provider, "GA94", kind 3; in MPEG-2 behind a start code.
_MARKS = (b"\xb5\x00\x31GA94\x03", b"\x00\x00\x01\xb2GA94\x03")

SMALL = 16  # pixels a side of the frame that carries them from the decoder to the encoder


def carries_captions(packet: bytes) -> bool:
    """Whether there are captions among what a packet holds, without decoding it."""
    return any(mark in packet for mark in _MARKS)


def has_captions(frame: VideoFrame) -> bool:
    """Whether captions are in a frame."""
    try:
        return "A53_CC" in side_data(frame)
    except ValueError:  # PyAV gives up on all side data when it does not know the type of one
        return False


def carrier(frame: VideoFrame) -> VideoFrame | None:
    """A small frame with the captions of this one; None where there are none."""
    return frame.reformat(width=SMALL, height=SMALL, format="yuv420p") if has_captions(frame) else None


def _has_second_view(frame: VideoFrame) -> bool:
    """Whether a frame is one of two views, as spatial video has them (MV-HEVC)."""
    try:
        side_data(frame)
    except ValueError as error:  # AV_FRAME_DATA_VIEW_ID, a type that PyAV does not know
        return str(error).startswith("29 ")
    return False


def frame_fates(path: Path, codec: str, *, captions: bool = False) -> list[Fate]:
    """What becomes of what is in the frames beside their picture, as far as a video's beginning tells.

    codec: the encoder's name. captions: packets anywhere in the video carry some. Nothing where there is nothing.
    """
    second_view = profile = False
    for decoded in islice(read_frames(path), LOOK_FRAMES):
        captions = captions or has_captions(decoded.frame)
        second_view = second_view or _has_second_view(decoded.frame)
        profile = profile or has_profile(decoded.frame)
    found: list[Fate] = []
    if captions and codec in WRITE_CAPTIONS:
        found.append(Fate(subject="video", field="captions", outcome="kept"))
    elif captions:
        reason = f"{codec} does not write them; libx264 and libx265 do"
        found.append(Fate(subject="video", field="captions", outcome="dropped", reason=reason))
    if second_view:
        reason = "only the main view of spatial video is decoded"
        found.append(Fate(subject="video", field="second view", outcome="dropped", reason=reason))
    if profile:
        reason = "it is in the frames of the source, and no output takes it from there"
        found.append(Fate(subject="video", field="colour profile", outcome="dropped", reason=reason))
    return found
