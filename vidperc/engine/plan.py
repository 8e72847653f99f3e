"""The plan: everything about a run that is decided once, journaled, and never decided again."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from vidperc.clip import Color
from vidperc.engine.guide import GuideSpan, GuideVideo
from vidperc.engine.memory import Load
from vidperc.models.card import ModelCard
from vidperc.ops.turn import NO_TURN, Turn
from vidperc.placement import Placement
from vidperc.video.deinterlace import Deinterlace
from vidperc.video.encoder_settings import EncoderSettings
from vidperc.video.index import FrameIndex

# A fresh encoder every 60 frames costs 7 to 16 % of the bits, every 240 at most 2 %.
MAX_SEGMENT_FRAMES = 240
MIN_SEGMENT_FRAMES = 60


# Multiplications of a network in one segment, about two minutes of a slow core, as far as the fewest frames allow.
MAX_SEGMENT_WORK = 30e12

# A border moves by up to this share of a segment to fall on a cut or a keyframe of the source, where it is cheapest.
SNAP = 0.1


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A run of frames that is rendered on its own: the unit of work, of resume and of distribution.

    pts: of the frames it emits, as planned. start, stop: emitted is start <= pts < stop; None is open, so that a
        frame which the container did not announce still belongs to exactly one segment.
    lead, tail: pts of the frames before and after that its stages read; they are not emitted.
    after: pts of the frame that follows the tail, where reading stops; None reads to the end.
    cuts: pts, within what it reads, of the frames that start a new shot.
    seeks: keyframes, as in FrameIndex, to decode from, the preferred first; empty means the start of the file.
    nbytes: of its frames in the source; what took many bits there takes long here.
    guide: what it reads of the guide, where there is one.
    """

    index: int
    pts: tuple[int, ...]
    start: int | None
    stop: int | None
    lead: tuple[int, ...] = ()
    tail: tuple[int, ...] = ()
    after: int | None = None
    cuts: tuple[int, ...] = ()
    seeks: tuple[tuple[int, int], ...] = ()
    nbytes: int = 0
    guide: GuideSpan | None = None

    @property
    def read_from(self) -> int | None:
        return self.lead[0] if self.lead else self.start

    @property
    def expected(self) -> tuple[int, ...]:
        """The pts of every frame that is read."""
        return self.lead + self.pts + self.tail

    def emits(self, pts: int) -> bool:
        return (self.start is None or pts >= self.start) and (self.stop is None or pts < self.stop)

    def shot(self, pts: int) -> int:
        """The number, within this segment, of the shot that a frame belongs to."""
        return bisect_right(self.cuts, pts)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run does, in full.

    source: the name of the input, by which a later job knows that this one was of the same.
    color: of the source. output_color: what the output is converted to and tagged with.
    width, height: of the output. time_base: seconds per tick of every pts. rate: frames per second, for rate control.
    sample_aspect: width over height of one pixel, None where the source does not say.
    layout: the pixel format that frames are read in while they stay YUV; empty when they pass the stages as RGB.
    window: (first pts, pts of the end) of an excerpt, None for the whole video.
    timed: False when the source's packets carry no times.
    cuts: pts of the frames that start a shot; none where no stage looks across frames, unless they were given.
    source_format, coded_aspect: pixel format and shape of pixels of the first frame, to which the others are compared.
    guide: the video that the source was made from, where there is one.
    alpha: the source has transparency, and the output holds it.
    deinterlace: how the source is read. turn: what is done to its pictures then; source_width and source_height are
        those of the turned ones.
    """

    width: int
    height: int
    source_width: int
    source_height: int
    time_base: Fraction
    rate: Fraction
    color: Color
    output_color: Color
    sample_aspect: Fraction | None
    last_duration: int
    window: tuple[int, int] | None
    timed: bool
    layout: str
    placement: Placement
    encoder: EncoderSettings
    segments: tuple[Segment, ...]
    versions: dict[str, str]
    source: str = ""
    cuts: tuple[int, ...] = ()
    guide: GuideVideo | None = None
    source_format: str = ""
    coded_aspect: Fraction | None = None
    alpha: bool = False
    deinterlace: Deinterlace = ""
    turn: Turn = NO_TURN

    @property
    def frames(self) -> int:
        return sum(len(segment.pts) for segment in self.segments)


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the user asked of the machine; None and "auto" leave it to us."""

    device: str = "auto"
    precision: str = "auto"
    tile: int | None = None
    chunk: int | None = None
    max_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a pipeline needs and gives on this machine for frames of one size.

    takes_luma: its stages take frames as YUV.
    lead, tail: frames that it reads around a segment. worker_bytes: memory that one worker is expected to take,
    and load what that depends on.
    frame_work: multiplications of its networks for one frame, counted as parameters times pixels.
    """

    width: int
    height: int
    takes_luma: bool
    lead: int
    tail: int
    cards: tuple[ModelCard, ...]
    placement: Placement
    worker_bytes: int
    load: Load
    frame_work: float
    versions: dict[str, str]
    remarks: tuple[str, ...]

    @property
    def looks_across(self) -> bool:
        """Some stage reads neighbours of a frame or has a state, so that cuts matter."""
        return self.lead > 0 or self.tail > 0


def usable_cores() -> int:
    """CPU cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def segment_count(frames: int, frame_work: float = 0.0) -> int:
    """Into how many segments this many frames are cut: none too long, and an even share for two, four or eight workers.

    More than needed as long as they keep the least length: the bits that it costs are few, the idle cores are not.

    frame_work: multiplications of one frame; a segment is what a crash can cost, so slow networks get shorter ones.
    It does not depend on the machine, nor on how many workers there are: neither may change the output.
    """
    longest = MAX_SEGMENT_FRAMES
    if frame_work > 0:
        longest = max(MIN_SEGMENT_FRAMES, min(longest, int(MAX_SEGMENT_WORK / frame_work)))
    needed = -(-frames // longest)
    for share in (8, 4, 2):
        even = -(-needed // share) * share
        if frames // even >= MIN_SEGMENT_FRAMES:
            return even
    return needed


def plan_segments(
    index: FrameIndex,
    pts: Sequence[int],
    *,
    cuts: Sequence[int] = (),
    lead: int = 0,
    tail: int = 0,
    frame_work: float = 0.0,
    count: int | None = None,
    exact_seek: bool = True,
) -> tuple[Segment, ...]:
    """Cut the frames at pts, a run of the index's, into segments.

    cuts: pts of the frames that start a shot. lead, tail: frames of the same shot that a pipeline reads around a
    segment. count: how many segments, None to choose by the multiplications that a network
    spends on a frame (frame_work).
    """
    every = index.pts
    offset = bisect_left(every, pts[0])
    borders = _borders(pts, index, cuts, count or segment_count(len(pts), frame_work))
    whole_start, whole_end = pts[0] == every[0], pts[-1] == every[-1]
    segments: list[Segment] = []
    for number, (first, last) in enumerate(zip(borders, [*borders[1:], len(pts)], strict=True)):
        low, high = offset + first, offset + last
        shot_start = every[0] if not cuts else max((c for c in cuts if c <= every[low]), default=every[0])
        shot_end = min((c for c in cuts if c >= every[high - 1] + 1), default=None)
        lead_pts = tuple(t for t in every[max(0, low - lead) : low] if t >= shot_start)
        tail_pts = tuple(t for t in every[high : high + tail] if shot_end is None or t < shot_end)
        read_to = high + len(tail_pts)
        is_first, is_last = number == 0, high == offset + len(pts)
        start = None if is_first and whole_start else every[low]
        read_from = lead_pts[0] if lead_pts else every[low]
        segments.append(
            Segment(
                index=number,
                pts=tuple(every[low:high]),
                start=start,
                stop=None if is_last and whole_end else (every[high] if high < len(every) else None),
                lead=lead_pts,
                tail=tail_pts,
                after=every[read_to] if read_to < len(every) else None,
                cuts=tuple(c for c in cuts if read_from < c and (read_to >= len(every) or c < every[read_to])),
                nbytes=sum(index.nbytes[low:high]),
                seeks=() if start is None and not lead_pts else index.seeks(read_from, exact=exact_seek),
            )
        )
    return tuple(segments)


def _borders(pts: Sequence[int], index: FrameIndex, cuts: Sequence[int], count: int) -> list[int]:
    """Places in pts where segments start: evenly spread, moved a little onto a cut or keyframe."""
    length = len(pts) / count
    reach = int(length * SNAP)
    keyframes = [keyframe for keyframe, _ in index.keyframes]
    borders = [0]
    for number in range(1, count):
        ideal = round(number * length)
        low, high = pts[max(0, ideal - reach)], pts[min(len(pts) - 1, ideal + reach)]
        for candidates in (cuts, keyframes):
            near = candidates[bisect_left(candidates, low) : bisect_right(candidates, high)]
            exact = [c for c in near if pts[bisect_left(pts, c)] == c]
            if exact:
                ideal = bisect_left(pts, min(exact, key=lambda c: abs(c - pts[round(number * length)])))
                break
        if ideal > borders[-1]:
            borders.append(ideal)
    return borders
