"""The exact times of every frame of a file, found by reading its packets once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from pathlib import Path

import av.error

from vidperc.errors import VidpercError
from vidperc.video.opening import open_input, video_stream
from vidperc.video.source import MAX_DEMUX_ERRORS, read_frames


@dataclass(frozen=True, kw_only=True)
class FrameIndex:
    """When every frame is shown, and where decoding may start.

    pts: of each frame in display order, in ticks of the stream's time base, strictly increasing.
    keyframes: (pts, dts) of each packet that a decoder may start at, in display order.
    last_duration: of the last frame, in ticks.
    sequential: packets do not tell the times (raw streams); frames are counted, decoding always starts at the start.
    """

    pts: tuple[int, ...]
    keyframes: tuple[tuple[int, int], ...]
    last_duration: int
    sequential: bool = False

    def between(self, start: int | None, stop: int | None) -> tuple[int, ...]:
        """The pts with start <= pts < stop; None leaves a side open."""
        first = 0 if start is None else bisect_left(self.pts, start)
        last = len(self.pts) if stop is None else bisect_left(self.pts, stop)
        return self.pts[first:last]

    def keyframes_up_to(self, pts: int) -> tuple[tuple[int, int], ...]:
        """The keyframes shown at or before pts, the nearest last."""
        return self.keyframes[: bisect_right(self.keyframes, (pts, 1 << 62))]


def index_frames(path: Path) -> FrameIndex:
    """Read all packets of the main video stream and return the times of its frames.

    Frames that an edit list hides are left out. Nothing is decoded, unless packets carry no times.
    Raises VidpercError when the file cannot be read or holds no frame.
    """
    times: list[int] = []
    keyframes: list[tuple[int, int]] = []
    durations: dict[int, int] = {}
    untimed = 0
    with open_input(path) as container:
        stream = video_stream(container, path)
        rate = stream.average_rate or stream.guessed_rate
        tick = stream.time_base
        errors = 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                errors += 1
                if errors > MAX_DEMUX_ERRORS:
                    raise VidpercError(f"{path}: unreadable after {len(times)} frames ({error.strerror})") from error
                packets = container.demux(stream)
                continue
            if packet is None:
                break
            if packet.size == 0:
                continue
            if packet.pts is None:
                untimed += 1
                continue
            if packet.is_keyframe:
                keyframes.append((packet.pts, packet.pts if packet.dts is None else packet.dts))
            if packet.is_discard:
                continue
            times.append(packet.pts)
            durations[packet.pts] = packet.duration or 0
    if not times and not untimed:
        raise VidpercError(f"{path}: its video stream has no frames, wanted at least one")
    pts = tuple(sorted(set(times)))
    if untimed or len(pts) != len(times):
        return _count_frames(path)
    usual = round(1 / (rate * tick)) if rate and tick else 1
    gap = pts[-1] - pts[-2] if len(pts) > 1 else usual
    return FrameIndex(
        pts=pts,
        keyframes=tuple(sorted(keyframes)),
        last_duration=durations[max(times)] or gap or 1,
    )


def _count_frames(path: Path) -> FrameIndex:
    pts: list[int] = []
    duration = 1
    for decoded in read_frames(path, timed=False):
        pts.append(decoded.pts)
        duration = decoded.duration
    if not pts:
        raise VidpercError(f"{path}: its video stream has no frame that can be decoded, wanted at least one")
    return FrameIndex(pts=tuple(pts), keyframes=(), last_duration=duration, sequential=True)
