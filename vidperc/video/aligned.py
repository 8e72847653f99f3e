"""Several videos side by side: each frame beside those that the others show at its time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path

from torch import Tensor

from vidperc.errors import VidpercError
from vidperc.video.index import EXACT_SEEK_FORMATS, FrameIndex, index_frames
from vidperc.video.probe import VideoInfo, probe
from vidperc.video.rgb import read_timed_rgb
from vidperc.video.source import read_frames


@dataclass(frozen=True, kw_only=True)
class TimedVideo:
    """A video and when it shows its frames.

    index: what its packets announce. pts: of the frames that decode, as far as is known, in ticks of info.time_base.
    window: (first pts, pts of the end) of the excerpt that is meant, and shown from time 0 on; None for the whole.
    """

    info: VideoInfo
    index: FrameIndex
    pts: tuple[int, ...]
    window: tuple[int, int] | None = None

    @property
    def path(self) -> Path:
        return self.info.path

    def time(self, pts: int) -> Fraction:
        """Seconds, exactly."""
        return (pts - (self.window[0] if self.window else 0)) * self.info.time_base


@dataclass(frozen=True, kw_only=True)
class Together:
    """What videos show at one time.

    seconds, pts: of the first of them. frames: one of each, (3,H,W) RGB as `read_rgb` gives them.
    """

    seconds: Fraction
    pts: int
    frames: tuple[Tensor, ...]


def align(
    paths: Sequence[Path], *, in_order: bool = False, window: tuple[int, int] | None = None
) -> tuple[TimedVideo, ...]:
    """The videos, of which it is now known that they show their frames at the same times.

    Times are equal when they differ by no more than containers round them: nothing for videos of one time base, else
    half a tick of each. in_order: whatever the times; then only the number of frames must be the same.
    window: (first pts, pts of the end) of an excerpt of the first video; the others begin with it, at time 0.
    Nothing is decoded, unless packets do not tell: where a damaged video announces frames that do not decode.
    Raises VidpercError for a file that cannot be read, and for the first frame that one video shows and another does
    not.
    """
    videos = tuple(_announced(path, None if place else window) for place, path in enumerate(paths))
    if _first_difference(videos, in_order=in_order) is not None:
        videos = tuple(_decodable(video) for video in videos)
        said = _first_difference(videos, in_order=in_order)
        if said is not None:
            raise VidpercError(said)
    return videos


def read_together(videos: Sequence[TimedVideo], *, in_order: bool = False) -> Iterator[Together]:
    """The frames of aligned videos, one time after the other; each video in the size that its first frame has.

    Holds one frame of each, and what its decoder holds. in_order: as for `align`.
    Raises VidpercError where a video turns out, as it decodes, not to have a frame that another one shows.
    """
    readers = [_read(video) for video in videos]
    for place, shown in enumerate(zip_longest(*readers)):
        times = [None if found is None else found[0] for found in shown]
        for video, here in zip(videos[1:], times[1:], strict=True):
            pair = (videos[0], times[0]), (video, here)
            if not _meet(*pair, in_order=in_order):
                raise VidpercError(_told(place, *pair))
        found = [item for item in shown if item is not None]  # all of them, since they meet
        pts = found[0][0]
        yield Together(seconds=videos[0].time(pts), pts=pts, frames=tuple(frame for _, frame in found))


def _read(video: TimedVideo) -> Iterator[tuple[int, Tensor]]:
    """Its frames after their pts; those of a window from the nearest keyframe that leads to the first of them."""
    start, stop = video.window or (None, None)
    exact = video.info.container.startswith(EXACT_SEEK_FORMATS)
    seeks = () if start is None else video.index.seeks(start, exact=exact)
    for keyframe in (*seeks, None):
        frames = read_timed_rgb(
            video.path,
            color=video.info.color,
            timed=not video.index.sequential,
            size=(video.info.width, video.info.height),
            start=start,
            stop=stop,
            keyframe=keyframe,
        )
        first = next(frames, None)
        if keyframe is not None and (first is None or first[0] != start):
            continue
        if first is not None:
            yield first
            del first
        yield from frames
        return


def _announced(path: Path, window: tuple[int, int] | None) -> TimedVideo:
    index = index_frames(path)
    pts = index.pts if window is None else index.between(*window)
    return TimedVideo(info=probe(path), index=index, pts=pts, window=window)


def _decodable(video: TimedVideo) -> TimedVideo:
    start, stop = video.window or (None, None)
    frames = read_frames(video.path, start=start, stop=stop, timed=not video.index.sequential)
    return replace(video, pts=tuple(decoded.pts for decoded in frames))


def _first_difference(videos: Sequence[TimedVideo], *, in_order: bool) -> str | None:
    first = videos[0]
    for video in videos[1:]:
        for place, (one, other) in enumerate(zip_longest(first.pts, video.pts)):
            pair = (first, one), (video, other)
            if not _meet(*pair, in_order=in_order):
                return _told(place, *pair)
    return None


def _meet(one: tuple[TimedVideo, int | None], other: tuple[TimedVideo, int | None], *, in_order: bool) -> bool:
    """Whether these two videos show these two pts at the same time; None is the end."""
    (video, pts), (beside, here) = one, other
    if pts is None or here is None:
        return pts is here
    ticks = video.info.time_base, beside.info.time_base
    rounding = Fraction(0) if ticks[0] == ticks[1] else sum(ticks) / 2
    return in_order or abs(video.time(pts) - beside.time(here)) <= rounding


def _told(place: int, one: tuple[TimedVideo, int | None], other: tuple[TimedVideo, int | None]) -> str:
    """The line about two videos that part at their frame number `place`."""
    (video, pts), (beside, here) = one, other
    if pts is None or here is None:
        short, longer = (video, beside) if pts is None else (beside, video)
        counts = f", {len(short.pts)} of {len(longer.pts)}" if len(short.pts) < len(longer.pts) else ""
        return (
            f"{short.path}: ends after {place} frames{counts}, and {longer.path} goes on; wanted two videos with the "
            f"same frames, cut the longer one to the shorter"
        )
    wanted, got = float(video.time(pts)), float(beside.time(here))
    counts = len(video.pts), len(beside.pts)
    todo = "if the frames do belong together in their order, add --in-order"
    if counts[0] != counts[1]:
        todo = f"it has {counts[1]} frames and the other {counts[0]}"
    return (
        f"{beside.path}: shows frame {place} at {got:.6f} s, wanted {wanted:.6f} s as in {video.path} "
        f"({got - wanted:+.6f} s); {todo}"
    )
