"""The guide of a job: the video that its source was made from, frame by frame, whose motion is followed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from vidperc.clip import Color
from vidperc.errors import VidpercError
from vidperc.stages.motion import FindMotion
from vidperc.video.cuts import Cut
from vidperc.video.index import EXACT_SEEK_FORMATS, FrameIndex, index_frames
from vidperc.video.probe import VideoInfo, probe
from vidperc.video.source import Decoded

if TYPE_CHECKING:
    from vidperc.engine.plan import Segment
    from vidperc.pipeline import PipelineSpec

# Of the shapes of two pictures of the same: other programs round sides to multiples of 8 or 16, small ones by much.
_SHAPES_DIFFER = 1.15


@dataclass(frozen=True, kw_only=True)
class GuideVideo:
    """What a plan says of the guide: the size of its frames, and how they are read."""

    width: int
    height: int
    color: Color
    timed: bool


@dataclass(frozen=True, kw_only=True)
class GuideSpan:
    """The frames of the guide that belong to those which a segment reads.

    pts: in ticks of the guide, one for each of the segment's `expected`. start, stop: what is read is
        start <= pts < stop; None is open. seeks: as the segment's.
    """

    pts: tuple[int, ...]
    start: int | None
    stop: int | None
    seeks: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Guided(Decoded):
    """A frame of the source beside that of the guide; None where the guide is damaged and does not show it."""

    guide: Decoded | None

    @property
    def nbytes(self) -> int:
        return super().nbytes + (0 if self.guide is None else self.guide.nbytes)


@dataclass(frozen=True, kw_only=True)
class Guide:
    """A guide that was checked: its frame number k belongs to that of the source."""

    info: VideoInfo
    index: FrameIndex

    def video(self) -> GuideVideo:
        """What a plan says of it."""
        info = self.info
        return GuideVideo(width=info.width, height=info.height, color=info.color, timed=not self.index.sequential)

    def span(self, segment: Segment, index: FrameIndex) -> GuideSpan:
        """What a segment reads of it; index: of the source."""
        every, first = self.index.pts, bisect_left(index.pts, segment.expected[0])
        after = first + len(segment.expected)
        whole = segment.read_from is None
        return GuideSpan(
            pts=every[first:after],
            start=None if whole else every[first],
            stop=every[after] if after < len(every) else None,
            seeks=()
            if whole
            else self.index.seeks(every[first], exact=self.info.container.startswith(EXACT_SEEK_FORMATS)),
        )

    def in_source(self, cut: Cut, index: FrameIndex) -> Cut:
        """A cut of the guide, at the frame of the source that belongs to it; index: of the source."""
        place = min(bisect_left(self.index.pts, cut.pts), len(index.pts) - 1)
        return replace(cut, pts=index.pts[place])


def read_guide(path: Path, source: VideoInfo, index: FrameIndex) -> Guide:
    """The guide of a source that shows its frames at these times.

    It must have as many frames, at the same times counted from the first frame of each, as far as the time bases of
    both can tell; where the first one is shown, and how large the pictures are, may differ.
    Raises VidpercError for any other.
    """
    if path.exists() and source.path.exists() and path.samefile(source.path):
        raise VidpercError(f"--guide {path}: is the input itself, wanted the video that it was made from")
    info, guide = probe(path, rate=source.rate), index_frames(path)
    if len(guide.pts) != len(index.pts):
        raise VidpercError(
            f"--guide {path}: has {len(guide.pts)} frames, {source.path} has {len(index.pts)}; wanted the video that "
            f"it was made from, with the same frames"
        )
    # Each container rounds two times, that of the frame and of the first; yet no frame may pass for its neighbour.
    step = (index.pts[-1] - index.pts[0]) * source.time_base / max(1, len(index.pts) - 1)
    rounding = min(info.time_base + source.time_base, step / 4)
    for number, (pts, wanted) in enumerate(zip(guide.pts, index.pts, strict=True)):
        here = (pts - guide.pts[0]) * info.time_base
        there = (wanted - index.pts[0]) * source.time_base
        if abs(here - there) > rounding:
            raise VidpercError(
                f"--guide {path}: shows frame {number} {float(here):.6f} s after its first, {source.path} "
                f"{float(there):.6f} s; wanted the same frame rate and times ({float(info.rate):.3f} and "
                f"{float(source.rate):.3f} frames a second)"
            )
    if not _alike(info, source):
        raise VidpercError(
            f"--guide {path}: its picture is {info.width}x{info.height}, that of {source.path} "
            f"{source.width}x{source.height}; wanted the whole picture in the same shape, of any size"
        )
    return Guide(info=info, index=guide)


def _alike(one: VideoInfo, other: VideoInfo) -> bool:
    """Whether pictures have nearly the same shape, as stored, or as shown where pixels are not square."""
    if one.rotation != other.rotation:
        return False
    shapes = [Fraction(video.width, video.height) for video in (one, other)]
    shown = [shape * (video.sample_aspect or 1) for shape, video in zip(shapes, (one, other), strict=True)]
    return any(max(pair) <= _SHAPES_DIFFER * min(pair) for pair in (shapes, shown))


def must_have_guide(pipeline: PipelineSpec) -> None:
    """Refuse a pipeline that holds what networks add and, without a guide, has nothing that adds.

    Raises VidpercError.
    """
    kinds = [stage.kind for stage in pipeline.stages]
    before = kinds[: kinds.index("steady")] if "steady" in kinds else []
    if "steady" in kinds and all(kind == "motion" for kind in before):
        raise VidpercError(
            f"pipeline {pipeline.name}: nothing before its stage steady changes the picture, so there is nothing to "
            f"hold; put such a stage before it, or use `vidperc steady PROCESSED --guide SOURCE`"
        )


def check_guide_size(pipeline: PipelineSpec, width: int, height: int) -> None:
    """Raises VidpercError when motion cannot be found in a guide of this width and height."""
    for stage in pipeline.stages:
        if isinstance(stage, FindMotion):
            stage.output_size(width, height)


def guided(
    frames: Iterator[Decoded], guide: Iterator[Decoded], partners: Mapping[int, int], unguided: list[int]
) -> Iterator[Guided]:
    """Each frame of the source beside its guide's; partners: the pts of the one by that of the other.

    Both come in the order of their times; what has no partner in the guide goes alone, and its pts into `unguided`.
    """
    ahead = next(guide, None)
    for decoded in frames:
        wanted = partners.get(decoded.pts)
        while wanted is not None and ahead is not None and ahead.pts < wanted:
            ahead = next(guide, None)
        found = ahead if ahead is not None and ahead.pts == wanted else None
        if found is None:
            unguided.append(decoded.pts)
        yield Guided(decoded.frame, decoded.pts, decoded.duration, found, stated=decoded.stated)
    for _ in guide:  # to the end: that none is missing is known there
        pass
