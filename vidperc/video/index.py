"""The exact times of every frame of a file, found by reading its packets once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from vidperc.errors import VidpercError
from vidperc.video.captions import carries_captions
from vidperc.video.cut_off import CutOff, find_cut_off
from vidperc.video.images import image_paths, is_images
from vidperc.video.opening import open_input, video_stream
from vidperc.video.packets import DECODE_ERRORS, MAX_DEMUX_ERRORS, Counts, make_no_times, show_in_order
from vidperc.video.recovery import recovers_slowly
from vidperc.video.source import read_frames, ticks_per_frame, times_before

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

# Containers that state when a frame is shown. Others may only state when it is decoded, which differs with B-frames.
STATES_DISPLAY_TIMES = ("mov", "matroska")

# In these a seek to a keyframe is exact. Elsewhere decoding starts one keyframe earlier, to be sure.
EXACT_SEEK_FORMATS = ("mov", "matroska")

# In these nothing follows a frame but the next one, of the same size.
BARE_FORMATS = ("yuv4mpegpipe", "dv")

# Packets of this many frames may come before that of a frame which is shown before them (H.264 and HEVC).
MOST_REORDERED = 16

# So many frames tell whether times that rise from packet to packet are those of display.
ORDER_PROBE_FRAMES = 48


@dataclass(frozen=True, kw_only=True)
class FrameIndex:
    """When every frame is shown, and where decoding may start.

    pts: of each frame in display order, in ticks of the stream's time base, strictly increasing.
    keyframes: (pts, time) of places where a decoder may start, in display order: after a seek to that time all frames
        from pts on are whole. Containers that state times of display are sought by these; by a time of decoding they
        would go to the keyframe before, a group of pictures in vain. Others are sought by the time of decoding.
    last_duration: of the last frame, in ticks.
    nbytes: of each frame's packet, in the order of pts; empty when they are not known.
    sequential: packets do not tell the times of display (raw streams, AVI with B-frames); frames are given times in
        their order, decoding always starts at the start.
    captions: packets carry some.
    spare_bytes: of a file that ends inside a frame, what comes after the last frame that was read, below 0 where the
        file ends before that frame does; 0 for whole files, and where a container holds more than frames.
    cut_off: what is missing of a container that ends before the size that it states.
    """

    pts: tuple[int, ...]
    keyframes: tuple[tuple[int, int], ...]
    last_duration: int
    nbytes: tuple[int, ...] = ()
    sequential: bool = False
    captions: bool = False
    spare_bytes: int = 0
    cut_off: CutOff | None = None

    def between(self, start: int | None, stop: int | None) -> tuple[int, ...]:
        """The pts with start <= pts < stop; None leaves a side open."""
        first = 0 if start is None else bisect_left(self.pts, start)
        last = len(self.pts) if stop is None else bisect_left(self.pts, stop)
        return self.pts[first:last]

    def keyframes_up_to(self, pts: int) -> tuple[tuple[int, int], ...]:
        """The keyframes shown at or before pts, the nearest last."""
        return self.keyframes[: bisect_right(self.keyframes, (pts, 1 << 62))]

    def seeks(self, pts: int, *, exact: bool) -> tuple[tuple[int, int], ...]:
        """The two keyframes to try for the frames from pts on; none when the start of the file is as near.

        exact: a seek in this container goes where it is told (EXACT_SEEK_FORMATS).
        """
        if self.sequential:
            return ()
        before = self.keyframes_up_to(pts)
        nearest = before[1:][::-1][: 2 if exact else 3]
        return nearest if exact else nearest[1:]


def index_frames(path: Path) -> FrameIndex:
    """Read all packets of the main video stream and return the times of its frames.

    Images count from 0, a tick each. Frames that an edit list hides are left out. Nothing is decoded, unless packets
    carry no times of display; where only the first ones do not, these are counted back from the first that does.
    Raises VidpercError when the file cannot be read or holds no frame.
    """
    if is_images(path):
        sizes_of = tuple(image.stat().st_size for image in image_paths(path))
        numbers = tuple(range(len(sizes_of)))
        return FrameIndex(pts=numbers, keyframes=tuple((n, n) for n in numbers), last_duration=1, nbytes=sizes_of)
    times: list[int] = []
    starts: list[tuple[int, int, bool]] = []
    durations: dict[int, int] = {}
    sizes: dict[int, int] = {}
    untimed: list[int] = []
    leading = True
    captions = False
    ends = 0
    with open_input(path) as container:
        stream = video_stream(container, path)
        make_no_times(container, stream)
        errors = 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except DECODE_ERRORS as error:
                errors += 1
                if errors > MAX_DEMUX_ERRORS and not times and not untimed:
                    raise VidpercError(f"{path}: unreadable, {errors} container errors ({error})") from error
                if errors > MAX_DEMUX_ERRORS:
                    break
                packets = container.demux(stream)
                continue
            if packet is None:
                break
            if packet.size == 0:
                continue
            captions = captions or carries_captions(bytes(packet))
            ends = (packet.pos or 0) + packet.size
            show_in_order(packet, stream, container)
            if packet.pts is None:
                untimed.append(packet.size)
                leading = leading and len(times) <= MOST_REORDERED
                continue
            if packet.is_keyframe:
                slow = stream.codec_context.name == "h264" and recovers_slowly(
                    bytes(packet), stream.codec_context.extradata
                )
                by_pts = container.format.name.startswith(STATES_DISPLAY_TIMES)
                time = packet.pts if by_pts or packet.dts is None else packet.dts
                starts.append((packet.pts, time, slow))
            if packet.is_discard:
                continue
            times.append(packet.pts)
            durations[packet.pts] = packet.duration or 0
            sizes[packet.pts] = packet.size
        # Damage before the end is counted when it is decoded; what follows it is then no rest of a frame.
        bare = container.format.name in BARE_FORMATS and not errors
        stated_end = _stated_end(container, stream)
        cut_off = find_cut_off(path, container, stream)
        ticks = ticks_per_frame(stream)
        reorders = stream.codec_context.has_b_frames and not container.format.name.startswith(STATES_DISPLAY_TIMES)
    if not times and not untimed:
        raise VidpercError(f"{path}: its video stream has no frames, wanted at least one")
    if untimed and times and leading:
        before = times_before(min(times), len(untimed), ticks)
        if _begins_so(path, [*before, *sorted(times)[:ORDER_PROBE_FRAMES]]):
            times = [*before, *times]
            sizes |= dict(zip(before, untimed, strict=True))
            starts.append((before[0], before[0], False))
            untimed = []
    pts = tuple(sorted(set(times)))
    if untimed or len(pts) != len(times) or (reorders and times == list(pts) and not _shown_as_timed(path)):
        return replace(_count_frames(path), captions=captions, cut_off=cut_off)
    final = max(times)
    last = durations[final] or (final - pts[-2] if len(pts) > 1 else round(ticks)) or 1
    if stated_end is not None and stated_end >= final:
        last = max(1, min(last, stated_end - final))
    return FrameIndex(
        pts=pts,
        keyframes=_keyframes(starts),
        last_duration=last,
        nbytes=tuple(sizes[time] for time in pts),
        captions=captions,
        spare_bytes=path.stat().st_size - ends if bare else 0,
        cut_off=cut_off,
    )


def cut_off_warnings(index: FrameIndex) -> tuple[str, ...]:
    """What the user should know of a file that ends inside a frame, which FFmpeg passes over without a word.

    Of y4m it leaves the rest out. A DV frame it fills up with the end of the frame before.
    """
    if index.spare_bytes > 0:
        found = (
            f"the source ends in {index.spare_bytes} bytes that are no whole frame, and are not in the output; it may "
            "have been cut off"
        )
    elif index.spare_bytes < 0:
        found = (
            f"the source ends inside its last frame; {-index.spare_bytes} of its {index.nbytes[-1]} bytes are missing, "
            "and show what the frame before has there"
        )
    else:
        return ()
    return (found,)


def _stated_end(container: InputContainer, stream: VideoStream) -> int | None:
    """When the last frame's time is over, in ticks, as far as the container says.

    The durations of an MP4's packets are those of decoding: with B-frames, the last one shown has another frame's, and
    an edit list may end within it. The end may lie far behind the last frame, in a file that was cut off, and before
    it, where a muxer added up durations of decoding.
    """
    if not container.format.name.startswith("mov") or stream.duration is None:
        return None
    return (stream.start_time or 0) + stream.duration


def _keyframes(starts: list[tuple[int, int, bool]]) -> tuple[tuple[int, int], ...]:
    """(pts, time) of the places to start at; where the picture comes back slowly, it has by the second place after it.

    Not always by the next: B-frames that are shown after it may still refer to what came before the refresh.
    """
    starts.sort()
    found = {(pts, time) for pts, time, slow in starts if not slow}
    found |= {(later[0], time) for (_, time, slow), later in zip(starts, starts[2:], strict=False) if slow}
    return tuple(sorted(found))


def _begins_so(path: Path, times: list[int]) -> bool:
    """Whether the first frames come out of the decoder at these times."""
    return [frame.pts for frame in islice(read_frames(path, threads=1), len(times))] == times


def _shown_as_timed(path: Path) -> bool:
    """Whether the first frames come out of the decoder in the order of their times."""
    counts = Counts()
    for _ in islice(read_frames(path, threads=1, counts=counts), ORDER_PROBE_FRAMES):
        pass
    return counts.corrupt_frames == 0


def _count_frames(path: Path) -> FrameIndex:
    pts: list[int] = []
    duration = 1
    for decoded in read_frames(path, timed=False):
        pts.append(decoded.pts)
        duration = decoded.duration
    if not pts:
        raise VidpercError(f"{path}: its video stream has no frame that can be decoded, wanted at least one")
    return FrameIndex(pts=tuple(pts), keyframes=(), last_duration=duration, sequential=True)
