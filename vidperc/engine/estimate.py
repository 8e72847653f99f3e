"""A dry run: what a job would take, measured on a few frames."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from vidperc.engine.cuts import must_find_cuts
from vidperc.engine.job import Job
from vidperc.engine.journal import Rendered
from vidperc.engine.memory import PARENT_BYTES
from vidperc.engine.plan import plan_segments, usable_cores
from vidperc.engine.pool import WorkerPool
from vidperc.engine.prepare_job import prepare_job
from vidperc.engine.ready import Ready, make_plan
from vidperc.engine.worker import RenderTask

# The probe renders this many frames at most, taken from the middle of the video.
PROBE_FRAMES = 24

# Starting workers, joining and verifying, beside the frames themselves.
OVERHEAD_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a job would take. Sizes in pixels, memory and disk in bytes, time in seconds.

    chosen: networks that were chosen for this source, and why.
    disk_bytes: while it runs, segments and output together; output_bytes: of the output alone.
    """

    source: str
    output: str
    width: int
    height: int
    frames: int
    segments: int
    workers: int
    memory_bytes: int
    output_bytes: int
    disk_bytes: int
    seconds: float
    probed_frames: int
    chosen: tuple[str, ...]

    def lines(self) -> list[str]:
        """The figures as text for people."""
        return [
            f"{self.source} -> {self.output}",
            *(f"  {choice}" for choice in self.chosen),
            f"  size      {self.width}x{self.height}",
            f"  frames    {self.frames} in {self.segments} segments, {self.workers} workers",
            f"  memory    up to {self.memory_bytes / 2**30:.1f} GiB",
            f"  disk      about {self.disk_bytes / 1e6:.0f} MB while it runs, {self.output_bytes / 1e6:.0f} MB after",
            f"  time      about {_spoken(self.seconds)} (from {self.probed_frames} frames)",
        ]


def _spoken(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else (f"{minutes} min {rest} s" if minutes else f"{rest} s")


def estimate(job: Job, pool: WorkerPool) -> Estimate:
    """Check a job and render a few of its frames in a temporary folder; nothing is left behind.

    Raises VidpercError for what would make the job itself fail.
    """
    ready = prepare_job(job, pool)
    plan = make_plan(job, ready, ready.cuts or ())  # what finds them would read every frame
    seconds_per_frame, bytes_per_frame, decode_seconds, probed = _probe(job, ready, pool)
    scan_seconds = decode_seconds * plan.frames / usable_cores() if must_find_cuts(ready) else 0.0
    output_bytes = round(bytes_per_frame * plan.frames)
    return Estimate(
        source=str(job.source),
        output=str(ready.output),
        width=plan.width,
        height=plan.height,
        frames=plan.frames,
        segments=len(plan.segments),
        workers=ready.workers,
        memory_bytes=ready.workers * ready.prepared.worker_bytes + PARENT_BYTES,
        output_bytes=output_bytes,
        disk_bytes=2 * output_bytes,
        seconds=OVERHEAD_SECONDS
        + scan_seconds
        + seconds_per_frame * plan.frames / min(ready.workers, len(plan.segments)),
        probed_frames=probed,
        chosen=ready.chosen,
    )


def _probe(job: Job, ready: Ready, pool: WorkerPool) -> tuple[float, float, float, int]:
    """Seconds and bytes of a frame in a worker, seconds to decode one, and how many were rendered to find out."""
    middle = max(0, (len(ready.pts) - PROBE_FRAMES) // 2)
    pts = ready.pts[middle : middle + PROBE_FRAMES]
    plan = replace(make_plan(job, ready), segments=())
    (segment,) = plan_segments(ready.index, pts, lead=ready.prepared.lead, tail=ready.prepared.tail, count=1)
    segment = ready.with_guide(segment)
    rendered: list[Rendered] = []
    with tempfile.TemporaryDirectory(prefix="vidperc-") as folder:
        task = RenderTask(
            source=job.source.absolute(),
            spec=ready.pipeline,
            plan=plan,
            segment=segment,
            folder=Path(folder),
            load=ready.prepared.load,
            guide=None if job.guide is None else job.guide.absolute(),
        )
        began = perf_counter()
        pool.run([task], done=lambda _, answer: rendered.append(answer))  # pyright: ignore[reportArgumentType]
        seconds = perf_counter() - began
    sidecar = rendered[0].sidecar
    count = max(1, len(sidecar.packet_pts))
    return seconds / count, sidecar.nbytes / count, sidecar.seconds["decode"] / count, count
