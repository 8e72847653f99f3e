"""The last look at an output before it takes its place."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from vidperc.errors import VidpercError
from vidperc.video.copied_packets import is_gap, is_pcm, weight
from vidperc.video.opening import open_input
from vidperc.video.packets import DECODE_ERRORS

MANY_PIXELS = 1 << 25


def verify_output(
    path: Path,
    *,
    pts: Sequence[int],
    time_base: Fraction,
    size: tuple[int, int],
    packets: dict[int, int],
) -> float:
    """Read a finished file again and compare it with what it should hold; returns the largest time error in seconds.

    pts: of every frame, in time_base; packets: as in Copied, of the streams that were copied.
    MP4 and MOV must be exact, other containers may round to their own ticks.
    Raises VidpercError naming the first difference.
    """
    found: list[int] = []
    counts = dict.fromkeys(packets, 0)
    with open_input(path) as container:
        stream = container.streams.video[0]  # the main one comes first; others are copies
        ticks = stream.time_base or time_base
        got = (stream.codec_context.width, stream.codec_context.height)
        if got != size:
            raise VidpercError(f"{path}: the output has {got[0]}x{got[1]} pixels, wanted {size[0]}x{size[1]}")
        for packet in container.demux():
            if packet.size == 0:
                continue
            if packet.stream_index == stream.index:
                if packet.pts is None:
                    raise VidpercError(f"{path}: the output has a frame without a time")
                found.append(packet.pts)
            elif packet.stream_index in counts and not is_gap(packet):
                counts[packet.stream_index] += weight(packet)
        if len(found) != len(pts):
            raise VidpercError(f"{path}: the output has {len(found)} frames, wanted {len(pts)}")
        found.sort()
        error = max(abs(a * ticks - b * time_base) for a, b in zip(found, pts, strict=True))
        exact = container.format.name.startswith("mov")
        if error > (0 if exact else ticks / 2):
            raise VidpercError(f"{path}: a frame of the output is {float(error) * 1000:.3f} ms off its time")
        for index, wanted in packets.items():
            if counts[index] != wanted:
                unit = "bytes" if is_pcm(container.streams[index]) else "packets"
                raise VidpercError(f"{path}: stream {index} has {counts[index]} {unit}, wanted {wanted}")
    _decode_ends(path)
    return float(error)


def _decode_ends(path: Path) -> None:
    """Decode from the first and from the last keyframe, so that a header that no decoder takes is found here."""
    for where in ("first", "last"):
        with open_input(path) as container:
            stream = container.streams.video[0]
            if stream.codec_context.width * stream.codec_context.height <= MANY_PIXELS:
                stream.thread_type = "AUTO"  # each thread holds frames of its own
            if where == "last" and container.duration:
                container.seek((container.start_time or 0) + container.duration)
            try:
                if next(container.decode(stream), None) is None:
                    raise VidpercError(f"{path}: no frame of the output's {where} group decodes")
            except DECODE_ERRORS as error:
                raise VidpercError(f"{path}: the {where} group of the output does not decode ({error})") from error
