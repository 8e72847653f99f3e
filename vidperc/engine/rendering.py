"""Rendering a job: its segments on their way through the pool, and how far they got."""

from __future__ import annotations

import logging
from dataclasses import replace
from time import perf_counter

from vidperc.engine.delivery import Outflow
from vidperc.engine.job import Job
from vidperc.engine.journal import Journal, Rendered, Sidecar
from vidperc.engine.plan import Plan, Segment
from vidperc.engine.pool import WorkerPool
from vidperc.engine.ready import Ready
from vidperc.engine.watcher import Watcher
from vidperc.engine.worker import Progress, RenderTask

log = logging.getLogger(__name__)


class Rendering:
    """The segments of one job on their way through the pool."""

    def __init__(
        self, job: Job, ready: Ready, plan: Plan, journal: Journal, pool: WorkerPool, watcher: Watcher, began: float
    ) -> None:
        self._job, self._ready, self._plan = job, ready, plan
        self._journal, self._pool, self._watcher = journal, pool, watcher
        self._began = began
        self.started = perf_counter()
        self._running: dict[int, Progress] = {}
        self._sidecars: dict[int, Sidecar] = {}
        self._sampled = 0.0
        self.first_frame_seconds: float | None = None
        self.peak_memory = 0
        self.resumed = 0
        self.crashes = 0
        self.outflow = None if job.pipe is None else Outflow(job.pipe, plan)

    def how_far(self) -> str:
        """What is there of an unfinished job, and how to go on."""
        if self.outflow is not None:
            return f"standard output has {self.outflow.frames} of {self._plan.frames} frames, nothing else is kept"
        kept = [segment for segment in self._plan.segments if self._journal.finished(segment)]
        if not kept:
            return "nothing was finished yet, nothing is left behind"
        return (
            f"{sum(len(segment.pts) for segment in kept)} of {self._plan.frames} frames are finished and kept in "
            f"{self._journal.folder.name}; the same command goes on from there"
        )

    def run(self) -> list[Sidecar]:
        """Render what an earlier run left; returns the sidecars of all segments in order."""
        todo: list[Segment] = []
        for segment in self._plan.segments:
            sidecar = self._journal.finished(segment)
            if sidecar is None:
                todo.append(segment)
            else:
                self._sidecars[segment.index] = sidecar
                log.debug("segment %d: finished by an earlier run", segment.index)
        if self.outflow is None:
            # The longest first, so that the workers finish together.
            todo.sort(key=lambda segment: segment.nbytes, reverse=True)
        self.resumed = len(self._sidecars)
        self._watcher.planned(self._plan, self._frames())
        tasks = [
            RenderTask(
                source=self._job.source.absolute(),
                spec=self._ready.pipeline,
                plan=_without_segments(self._plan),
                segment=segment,
                folder=self._journal.folder.absolute(),
                load=self._ready.prepared.load,
                guide=None if self._job.guide is None else self._job.guide.absolute(),
            )
            for segment in todo
        ]

        def done(place: int, answer: object) -> None:
            assert isinstance(answer, Rendered)
            self._journal.finish(todo[place], answer.path, answer.sidecar)
            self._running.pop(place, None)
            self._sidecars[todo[place].index] = answer.sidecar
            if self.outflow is not None:
                path = self._journal.segment_path(todo[place])
                self.outflow.give(todo[place].index, path if answer.sidecar.packet_pts else None)
            self._tell()

        def progress(place: int, message: Progress) -> None:
            self._running[place] = message
            self._tell()

        if tasks:
            self.crashes = self._pool.run(
                tasks, workers=self._ready.workers, done=done, progress=progress, tick=self._tick
            )
        return [self._sidecars[segment.index] for segment in self._plan.segments]

    def _frames(self) -> int:
        finished = sum(len(sidecar.packet_pts) for sidecar in self._sidecars.values())
        return finished + sum(message.frames for message in self._running.values())

    def _tell(self) -> None:
        frames = self._frames()
        if self.first_frame_seconds is None and any(m.frames for m in self._running.values()):
            self.first_frame_seconds = perf_counter() - self._began
        self._watcher.progressed(frames, self.seconds())

    def seconds(self) -> dict[str, float]:
        """CPU and waiting seconds by part, over all segments that are finished or running."""
        total: dict[str, float] = {}
        for source in (*self._sidecars.values(), *self._running.values()):
            for part, value in source.seconds.items():
                total[part] = total.get(part, 0.0) + value
        return total

    def _tick(self) -> None:
        if self.outflow is not None:
            self.outflow.check()
        if perf_counter() - self._sampled > 1:
            self._sampled = perf_counter()
            self.peak_memory = max(self.peak_memory, self._pool.memory())


def _without_segments(plan: Plan) -> Plan:
    """The plan as a worker needs it: its own segment travels beside it, the others are none of its business."""
    return replace(plan, segments=(), cuts=())
