"""Demuxing: every packet of a file, whatever its container does, and the damage that is met on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av.error

from vidperc.errors import VidpercError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

MAX_DEMUX_ERRORS = 100
_GENERATE_PTS = 1  # AVFMT_FLAG_GENPTS, which PyAV sets

# What FFmpeg's decoders were seen to raise on damaged packets.
DECODE_ERRORS = (av.error.FFmpegError, MemoryError, EOFError, IndexError)


@dataclass
class Counts:
    """What went wrong while reading: damaged packets, damaged frames kept, container errors, frames without a time.

    rescaled, other_...: frames that are not like the first, as changes() has them. interlaced: that are marked so.
    """

    packets: int = 0
    corrupt_packets: int = 0
    corrupt_frames: int = 0
    container_errors: int = 0
    untimed_frames: int = 0
    rescaled_frames: int = 0
    other_depth_frames: int = 0
    other_chroma_frames: int = 0
    other_colour_frames: int = 0
    other_light_frames: int = 0
    other_aspect_frames: int = 0
    interlaced_frames: int = 0

    @property
    def damage(self) -> int:
        return self.corrupt_packets + self.corrupt_frames + self.container_errors


# Counts of what is no damage.
NO_DAMAGE = frozenset(
    {"rescaled_frames", "interlaced_frames"}
    | {f"other_{what}_frames" for what in ("depth", "chroma", "colour", "light", "aspect")}
)


def make_no_times(container: InputContainer, stream: VideoStream) -> None:
    """Have no times of display made up for an AVI, which states none: FFmpeg takes that of the next frame.

    Not where B-frames may change the order: the made-up times rise, and tell that there are none after all.
    """
    if _keeps_order(container, stream):
        container.flags &= ~_GENERATE_PTS


def show_in_order(packet: Packet[Any], stream: VideoStream, container: InputContainer) -> None:
    """Let a packet of an AVI be shown when it is decoded, where no B-frames change the order."""
    if packet.pts is None and _keeps_order(container, stream):
        packet.pts = packet.dts


def _keeps_order(container: InputContainer, stream: VideoStream) -> bool:
    """Whether it is an AVI without B-frames, whose frames are shown as they are decoded."""
    return container.format.name == "avi" and not stream.codec_context.has_b_frames


def tolerant_packets(
    container: InputContainer, streams: Sequence[Stream], counts: Counts | None = None
) -> Iterator[Packet[Any]]:
    """Every packet of these streams, then the empty ones that flush decoders, whatever the container does.

    A container that only fails any more is at its end. Raises VidpercError where it gave nothing before.
    """
    counts = counts if counts is not None else Counts()
    packets = container.demux(list(streams))
    errors, given = 0, False
    while True:
        try:
            packet = next(packets, None)
        except DECODE_ERRORS as error:
            counts.container_errors += 1
            errors += 1
            if errors <= MAX_DEMUX_ERRORS:
                packets = container.demux(list(streams))
                continue
            if not given:
                raise VidpercError(f"{container.name}: unreadable, {errors} container errors") from error
            return
        if packet is None:
            return
        given = given or packet.size > 0
        yield packet
