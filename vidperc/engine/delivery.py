"""Finished segments become the output: a container, a file of bare pictures, or a pipe that is fed as they come."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Queue
from time import perf_counter
from typing import TYPE_CHECKING, BinaryIO

from vidperc.engine.journal import sync
from vidperc.errors import VidpercError
from vidperc.video.bare import PNG
from vidperc.video.fates import Copied
from vidperc.video.images import image_paths, is_images, read_header, verify_images
from vidperc.video.output import Part, packets_of, write_output
from vidperc.video.png import is_plain_text, job_chunk, notes_chunks, text_chunks, with_chunks
from vidperc.video.read_back import read_back
from vidperc.video.verify import verify_output
from vidperc.video.y4m import verify_y4m, y4m_frames, y4m_header

if TYPE_CHECKING:
    from pathlib import Path

    from vidperc.engine.job import Job
    from vidperc.engine.plan import Plan
    from vidperc.engine.ready import Ready


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What came of joining segments: time_error as in JobReport, how long each part took, and what there is."""

    copied: Copied
    join_seconds: float
    verify_seconds: float
    nbytes: int
    time_error: float = 0.0


def deliver(job: Job, ready: Ready, plan: Plan, parts: Sequence[Part], partial: Path) -> Delivery:
    """Make the whole output at `partial` and look at it again.

    Raises VidpercError when it is not what it should be; OSError when the disk is full.
    """
    if ready.bare is PNG:
        return _images(job, ready, plan, parts, partial)
    delivery = (_container if ready.bare is None else _y4m)(job, ready, plan, parts, partial)
    sync(partial)
    return delivery


def is_there(output: Path) -> bool:
    """Whether there is something at an output's place; an empty folder is as good as none."""
    return output.exists() and not (output.is_dir() and not any(output.iterdir()))


def put_in_place(partial: Path, output: Path, journal: Path) -> None:
    """Give a finished output its name; a folder that has it goes into the journal's, and away with that."""
    if output.is_dir():
        output.replace(journal / "replaced")
    partial.replace(output)
    sync(output.parent)


def _container(job: Job, ready: Ready, plan: Plan, parts: Sequence[Part], partial: Path) -> Delivery:
    began = perf_counter()
    copied = write_output(
        partial,
        parts,
        source=ready.info,
        last_duration=plan.last_duration,
        window=plan.window,
        origin=ready.origin,
        keep_audio=job.keep_audio,
        identity=ready.key,
        refused=ready.rehearsal.refused,
        all_tags=ready.rehearsal.all_tags,
    )
    joined = perf_counter()
    shift = plan.window[0] if plan.window else ready.origin
    shown = sorted(pts - shift for part in parts for pts in part.packet_pts)
    error = verify_output(
        partial, pts=shown, time_base=plan.time_base, size=(plan.width, plan.height), packets=copied.packets
    )
    read_back(partial, ready.info, copied, excerpt=plan.window is not None)
    return Delivery(
        copied=copied,
        time_error=error,
        join_seconds=joined - began,
        verify_seconds=perf_counter() - joined,
        nbytes=partial.stat().st_size,
    )


def _y4m(job: Job, ready: Ready, plan: Plan, parts: Sequence[Part], partial: Path) -> Delivery:
    began = perf_counter()
    header = _header(plan, ready.key)
    with partial.open("wb") as file:
        file.write(header)
        for part in parts:
            for picture in y4m_frames(part.path, plan.encoder.pix_fmt):
                file.writelines(picture)
    joined = perf_counter()
    frames = sum(len(part.packet_pts) for part in parts)
    verify_y4m(partial, header=header, frames=frames, pix_fmt=plan.encoder.pix_fmt, size=(plan.width, plan.height))
    return Delivery(
        copied=ready.rehearsal.copied,
        join_seconds=joined - began,
        verify_seconds=perf_counter() - joined,
        nbytes=partial.stat().st_size,
    )


def _images(job: Job, ready: Ready, plan: Plan, parts: Sequence[Part], partial: Path) -> Delivery:
    """One image, or a folder of them; each packet of a segment is the content of a file."""
    began = perf_counter()
    sources = image_paths(job.source) if is_images(job.source) else ()
    if ready.place.folder:
        partial.mkdir()
    written: list[Path] = []
    for part in parts:
        for pts, content in zip(part.packet_pts, packets_of(part.path), strict=True):
            notes = read_header(sources[pts]).notes if sources else {}
            path = partial / ready.names[pts] if ready.place.folder else partial
            texts = filter(is_plain_text, text_chunks(sources[pts])) if sources else ()
            path.write_bytes(with_chunks(content, [job_chunk(ready.key), *notes_chunks(notes), *texts]))
            written.append(path)
    joined = perf_counter()
    verify_images(partial, written, size=(plan.width, plan.height))
    for path in written:
        sync(path)
    sync(partial)
    return Delivery(
        copied=ready.rehearsal.copied,
        join_seconds=joined - began,
        verify_seconds=perf_counter() - joined,
        nbytes=sum(path.stat().st_size for path in written),
    )


def _header(plan: Plan, identity: str = "") -> bytes:
    return y4m_header(
        width=plan.width,
        height=plan.height,
        rate=plan.rate,
        pix_fmt=plan.encoder.pix_fmt,
        color=plan.output_color,
        sample_aspect=plan.sample_aspect,
        identity=identity,
    )


class Outflow:
    """Segments on their way into a pipe, in their order, by a thread of its own: a slow reader holds up no worker.

    A segment's file is deleted once the reader has it, for nothing could be taken up again.
    """

    def __init__(self, pipe: BinaryIO, plan: Plan) -> None:
        self.frames = 0  # that the reader has
        self.nbytes = 0
        self._pipe, self._plan = pipe, plan
        self._waiting: dict[int, Path | None] = {}
        self._next = 0
        self._ready: Queue[Path | None] = Queue()
        self._error: OSError | None = None
        self._bug: Exception | None = None
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()

    def give(self, index: int, segment: Path | None) -> None:
        """A segment is finished; None for one without frames. Raises as check() does."""
        self._waiting[index] = segment
        while self._next in self._waiting:
            path = self._waiting.pop(self._next)
            self._next += 1
            if path is not None:
                self._ready.put(path)
        self.check()

    def check(self) -> None:
        """Raise VidpercError when the reader is gone, or takes no more."""
        if self._bug is not None:
            raise self._bug
        if self._error is not None:
            raise VidpercError(
                f"-o -: the reader of standard output went away ({self._error.strerror}) after "
                f"{self.frames} of {self._plan.frames} frames; nothing is kept"
            )

    def finish(self, ready: Ready, frames: int) -> Delivery:
        """Wait until the reader has everything, which must be so many frames. Raises as check() does."""
        began = perf_counter()
        self._ready.put(None)
        self._thread.join()
        self.check()
        if self.frames != frames:
            raise RuntimeError(f"standard output was given {self.frames} frames, the segments hold {frames}")
        waited = perf_counter() - began
        copied = ready.rehearsal.copied
        return Delivery(copied=copied, join_seconds=waited, verify_seconds=0.0, nbytes=self.nbytes)

    def _feed(self) -> None:
        try:
            self._write(_header(self._plan))
            while (segment := self._ready.get()) is not None:
                self._frames_of(segment)
                segment.unlink()
        except OSError as error:
            self._error = error
        except Exception as error:
            self._bug = error

    def _frames_of(self, segment: Path) -> None:
        for picture in y4m_frames(segment, self._plan.encoder.pix_fmt):
            for piece in picture:
                self._write(piece)
            self.frames += 1

    def _write(self, content: bytes | memoryview) -> None:
        """All of it; without a buffer, which would be written on exit to a reader that is gone."""
        left = memoryview(content).cast("B")
        while left:
            written = self._pipe.write(left)
            self.nbytes += written
            left = left[written:]
