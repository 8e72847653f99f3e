"""A video looked through for its cuts: several ranges at once, joined so that their number does not matter."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from av.video.reformatter import VideoReformatter

from vidperc.video.cuts import CONTEXT, Cut, CutThresholds, detect_cuts, small_luma
from vidperc.video.index import EXACT_SEEK_FORMATS, FrameIndex
from vidperc.video.novelty import Luma
from vidperc.video.packets import Counts
from vidperc.video.probe import VideoInfo
from vidperc.video.source import read_frames

log = logging.getLogger(__name__)

# Frames of a range: enough to be worth opening the file again, and few enough to wait in memory for those before.
MIN_RANGE_FRAMES, MAX_RANGE_FRAMES = 120, 960

# So many ranges for each thread, so that one that takes long leaves the others something to do.
_SHARES = 3

_TOLD_EVERY = 60  # frames

Picture = tuple[int, Luma]


@dataclass(frozen=True)
class _Range:
    """The frames of these pts, decoded from a keyframe as in FrameIndex; start and stop as read_frames has them."""

    pts: tuple[int, ...]
    start: int | None
    stop: int | None
    keyframe: tuple[int, int] | None


class _NotAsIndexed(Exception):
    """What was decoded is not what the index announces."""


def find_cuts(
    info: VideoInfo,
    index: FrameIndex,
    thresholds: CutThresholds,
    *,
    pts: Sequence[int] | None = None,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Cut, ...]:
    """The cuts of a video's main stream, in order.

    pts: a run of the index's, where they are looked for; None for all. Its neighbours are read too, so that a cut at
        its first frame is found.
    threads: so many ranges are decoded at once; they change nothing of what is found.
    progress: called now and then with the number of frames that were looked at, and of all that will be.
    Where frames do not come as the index announces them, the video is read once more, from its start in one go.
    Raises VidpercError when the file cannot be read.
    """
    frames = len(index.pts)
    low = 0 if pts is None else bisect_left(index.pts, pts[0])
    high = frames if pts is None else bisect_left(index.pts, pts[-1]) + 1
    ranges = _ranges(info, index, max(0, low - CONTEXT), min(frames, high + CONTEXT), threads)
    timed, stop = not index.sequential, ranges[-1].stop

    def found(pictures: Iterator[Picture], total: int) -> tuple[Cut, ...]:
        after_low = index.pts[low] if low else None
        before_high = index.pts[high] if high < frames else None
        return tuple(
            cut
            for cut in detect_cuts(_told(pictures, total, progress), thresholds)
            if (after_low is None or cut.pts >= after_low) and (before_high is None or cut.pts < before_high)
        )

    try:
        return found(_pictures(info.path, ranges, timed, threads), sum(len(span.pts) for span in ranges))
    except _NotAsIndexed as difference:
        log.info("%s: %s; it is looked through for cuts from its start", info.path, difference)
    whole = _Range(index.between(None, stop), None, stop, None)
    return found(_decoded(info.path, whole, timed, 1, Counts(), Event()), len(whole.pts))


def _ranges(info: VideoInfo, index: FrameIndex, begin: int, end: int, threads: int) -> list[_Range]:
    """The frames between two places in the index, cut at keyframes; all in one where one thread reads them."""
    length = max(MIN_RANGE_FRAMES, min(MAX_RANGE_FRAMES, (end - begin) // (_SHARES * threads)))
    borders = [begin]
    for keyframe, _ in index.keyframes if threads > 1 else ():
        place = bisect_left(index.pts, keyframe)
        if place - borders[-1] >= length and end - place >= MIN_RANGE_FRAMES:
            borders.append(place)
    exact = info.container.startswith(EXACT_SEEK_FORMATS)
    return [
        _Range(
            index.pts[first:last],
            index.pts[first] if first else None,
            index.pts[last] if last < len(index.pts) else None,
            next(iter(index.seeks(index.pts[first], exact=exact)), None),
        )
        for first, last in zip(borders, [*borders[1:], end], strict=True)
    ]


def _pictures(path: Path, ranges: list[_Range], timed: bool, threads: int) -> Iterator[Picture]:
    """The small pictures of all ranges in order, at most one range for each thread ahead.

    Raises _NotAsIndexed at the end of a range that gave other frames, or damage.
    """
    if len(ranges) == 1:  # never held as a whole; the decoder has the threads
        yield from _checked(path, ranges[0], timed, threads, Event())
        return
    stopped = Event()
    waiting: deque[Future[list[Picture]]] = deque()

    def collected(span: _Range) -> list[Picture]:
        return list(_checked(path, span, timed, max(1, threads // len(ranges)), stopped))

    with ThreadPoolExecutor(threads) as pool:
        try:
            for span in ranges:
                waiting.append(pool.submit(collected, span))
                if len(waiting) > threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:  # also when what came was enough, or Ctrl-C was pressed
            stopped.set()
            for future in waiting:
                future.cancel()


def _checked(path: Path, span: _Range, timed: bool, threads: int, stopped: Event) -> Iterator[Picture]:
    counts = Counts()
    planned = iter(span.pts)
    for picture in _decoded(path, span, timed, threads, counts, stopped):
        if picture[0] != next(planned, None):
            raise _NotAsIndexed(f"got a frame of pts {picture[0]} that the index has elsewhere, or not at all")
        yield picture
    missing = next(planned, None)
    if (missing is not None or counts.damage) and not stopped.is_set():
        raise _NotAsIndexed(f"no frame of pts {missing}" if missing is not None else "damaged packets")


def _decoded(path: Path, span: _Range, timed: bool, threads: int, counts: Counts, stopped: Event) -> Iterator[Picture]:
    reformatter = VideoReformatter()
    for decoded in read_frames(
        path,
        start=span.start,
        stop=span.stop,
        keyframe=span.keyframe,
        timed=timed,
        threads=threads,
        rough=True,
        counts=counts,
    ):
        if stopped.is_set():
            return
        yield decoded.pts, small_luma(decoded.frame, reformatter)


def _told(pictures: Iterator[Picture], total: int, progress: Callable[[int, int], None] | None) -> Iterator[Picture]:
    for number, picture in enumerate(pictures, start=1):
        if progress is not None and (number % _TOLD_EVERY == 0 or number == total):
            progress(min(number, total), total)
        yield picture
