"""What a segment reads of a video: decoded from a keyframe that gives the planned frames, found if need be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from vidperc.engine.plan import Plan, Segment
from vidperc.video.deinterlace import Deinterlace
from vidperc.video.packets import Counts
from vidperc.video.source import Decoded, read_frames


class SeekMismatch(Exception):
    """Frames after a seek are not the planned ones. reading: of the video that this was met in."""

    def __init__(self, reading: Reading, what: str) -> None:
        super().__init__(f"{reading.name}: {what}" if reading.name else what)
        self.reading = reading


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The frames with start <= pts < stop of one video, None for an open side; expected are the pts of all of them.

    name: for the log, empty for the source. size, timed: as read_frames takes them. seeks: as the segment's.
    seek: the keyframe to decode from, None for the start of the file.
    deinterlace: as read_frames takes it.
    strict: the frames must be the expected ones and undamaged; else what is decoded is the truth.
    """

    path: Path
    name: str
    expected: tuple[int, ...]
    start: int | None
    stop: int | None
    seeks: tuple[tuple[int, int], ...]
    size: tuple[int, int]
    timed: bool
    seek: tuple[int, int] | None
    strict: bool
    deinterlace: Deinterlace = ""

    @property
    def begins(self) -> str:
        """Where decoding does, in words."""
        return "the start of the file" if self.seek is None else f"the keyframe at pts {self.seek[0]}"

    def frames(self, counts: Counts, *, threads: int = 1) -> Iterator[Decoded]:
        """The frames; counts is added to as damage is met, threads are the decoder's.

        Raises SeekMismatch at the first that is not as a strict reading wants it.
        """
        # With several threads a decoder that meets damage loses frames at the end; undamaged ones are checked.
        frames = _read(self, self.seek, counts, threads=threads if self.strict else 1)
        return _checked(self, frames, counts) if self.strict else frames

    def again(self) -> Reading:
        """The reading of the same frames from where decoding can be trusted; what comes then is the truth."""
        return replace(self, seek=_trusted_seek(self), strict=False)


def read_source(path: Path, plan: Plan, segment: Segment) -> Reading:
    """What a segment reads of the source, from the preferred keyframe."""
    return Reading(
        path=path,
        name="",
        expected=segment.expected,
        start=segment.read_from,
        stop=segment.after,
        seeks=segment.seeks,
        size=plan.turn.size(plan.source_width, plan.source_height),
        timed=plan.timed,
        seek=segment.seeks[0] if segment.seeks else None,
        strict=bool(segment.seeks),
        deinterlace=plan.deinterlace,
    )


def read_guide(path: Path, plan: Plan, segment: Segment) -> Reading:
    """What a segment reads of the guide, from the preferred keyframe."""
    video, span = plan.guide, segment.guide
    if video is None or span is None:
        raise ValueError(f"segment {segment.index}: got a guide, but was planned without one")
    return Reading(
        path=path,
        name="guide",
        expected=span.pts,
        start=span.start,
        stop=span.stop,
        seeks=span.seeks,
        size=(video.width, video.height),
        timed=video.timed,
        seek=span.seeks[0] if span.seeks else None,
        strict=bool(span.seeks),
    )


def _read(reading: Reading, seek: tuple[int, int] | None, counts: Counts, *, threads: int = 1) -> Iterator[Decoded]:
    return read_frames(
        reading.path,
        start=reading.start,
        stop=reading.stop,
        keyframe=seek,
        timed=reading.timed,
        threads=threads,
        size=reading.size,
        deinterlace=reading.deinterlace,
        counts=counts,
    )


def _checked(reading: Reading, frames: Iterator[Decoded], counts: Counts) -> Iterator[Decoded]:
    planned = iter(reading.expected)
    for decoded in frames:
        wanted = next(planned, None)
        if decoded.pts != wanted or counts.damage:
            raise SeekMismatch(
                reading, f"damage before pts {wanted}" if counts.damage else f"got {decoded.pts}, planned {wanted}"
            )
        yield decoded
    missing = next(planned, None)
    if missing is not None:
        raise SeekMismatch(reading, f"no frame for pts {missing}")


def _trusted_seek(reading: Reading) -> tuple[int, int] | None:
    """Where to decode from when the preferred seek gave other frames than planned; None for the start.

    A keyframe further back that gives the planned frames is good. When two keyframes agree on what differs, the
    file is damaged there and the seek is not to blame. Only decodes.
    """
    surveys: list[tuple[int, ...]] = []
    for seek in reading.seeks:
        counts = Counts()
        found = tuple(decoded.pts for decoded in _read(reading, seek, counts))
        if found == reading.expected and not counts.damage:
            return seek
        surveys.append(found)
    agree = len(surveys) > 1 and surveys[0] == surveys[1] and surveys[0][:1] == reading.expected[:1]
    return reading.seeks[1] if agree else None
