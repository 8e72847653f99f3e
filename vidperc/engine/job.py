"""A job: one input, one pipeline, one output; rendered, joined, verified and put in its place."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from time import perf_counter

import av
import psutil

from vidperc.clip import Color
from vidperc.engine.journal import Journal, Rendered, Sidecar, input_identity, job_key, sync
from vidperc.engine.plan import Plan, Prepared, Segment, Wishes, plan_segments, segment_count, usable_cores
from vidperc.engine.pool import DiskFull, WorkerPool
from vidperc.engine.report import JobReport, StreamReport
from vidperc.engine.worker import PrepareTask, Progress, RenderTask
from vidperc.errors import VidpercError
from vidperc.pipeline import PipelineSpec
from vidperc.version import __version__
from vidperc.video.encoder import EncoderSettings, check_encoder, choose_encoder, container_takes
from vidperc.video.identity import read_identity
from vidperc.video.index import FrameIndex, index_frames
from vidperc.video.output import CONTAINERS, Part, write_output
from vidperc.video.planes import layout_of
from vidperc.video.probe import VideoInfo, encoded_color, probe
from vidperc.video.verify import verify_output

ENCODER_THREADS = 4
HDR_TRANSFERS = frozenset({16, 18})  # H.273: PQ (SMPTE ST 2084) and HLG (ARIB STD-B67)
DISK_FULL = frozenset({28, 122})  # ENOSPC, EDQUOT


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the user asked for.

    output: the file to make; None names it after the source ("input_x2.mp4"), in `folder` or beside the source.
    label: what is added to that name; empty for the scale ("x2") or the short side ("1080p").
    start, end, sample: seconds from the first frame; a sample without a start is taken from the middle.
    codec, quality, preset, pix_fmt, encoder_options: None leaves the choice to us.
    workers: None for one per core.
    overwrite: do the work again although the output exists.
    """

    source: Path
    pipeline: PipelineSpec
    output: Path | None = None
    folder: Path | None = None
    label: str = ""
    start: Fraction | None = None
    end: Fraction | None = None
    sample: Fraction | None = None
    codec: str | None = None
    quality: str | None = None
    preset: str | None = None
    pix_fmt: str | None = None
    encoder_options: Mapping[str, str] = field(default_factory=dict[str, str])
    wishes: Wishes = field(default_factory=Wishes)
    workers: int | None = None
    keep_audio: bool = True
    overwrite: bool = False


class Watcher:
    """What a job tells while it runs; every method may be overridden, none must be."""

    def said(self, text: str) -> None:
        """Something that the user should know."""

    def warned(self, text: str) -> None:
        """Something about the source that the output will show."""

    def planned(self, plan: Plan, finished: int) -> None:
        """The plan stands; so many of its frames were finished by an earlier run."""

    def progressed(self, frames: int, seconds: Mapping[str, float]) -> None:
        """So many frames are done in all; CPU and waiting seconds by part, over all workers."""

    def joining(self) -> None:
        """Every segment is there; the output is being written and verified."""


class Interrupted(Exception):
    """Ctrl-C: how far the job got and how to go on."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A job that was checked against its input and the machine."""

    output: Path
    info: VideoInfo
    index: FrameIndex
    pts: tuple[int, ...]
    window: tuple[int, int] | None
    prepared: Prepared
    encoder: EncoderSettings
    color: Color
    workers: int
    key: str


def prepare_job(job: Job, pool: WorkerPool) -> Ready:
    """Read the input, check the output's place, and have a worker check the pipeline.

    Raises VidpercError for everything that would make the job fail later and can be known now.
    """
    pool.start(1)  # it imports torch while we read the input
    if job.output is not None:
        _check_output(job, job.output)
    info = probe(job.source)
    index = index_frames(job.source)
    pts, window = _selection(job, info, index)
    cores = usable_cores()
    # A first guess, so that workers start now: a GPU takes one, a slow network on a CPU makes more segments.
    workers = min(job.workers or cores, segment_count(len(pts)))
    pool.start(workers)
    _encoder(job, info, ENCODER_THREADS)
    answers: list[Prepared] = []

    def ask(threads: int) -> Prepared:
        task = PrepareTask(spec=job.pipeline, wishes=job.wishes, width=info.width, height=info.height, threads=threads)
        pool.run([task], done=lambda _, answer: answers.append(answer))  # pyright: ignore[reportArgumentType]
        return answers[-1]

    prepared = ask(max(1, cores // workers))
    on_cpu = prepared.placement.device == "cpu"
    better = min(job.workers or cores, segment_count(len(pts), prepared.frame_work)) if on_cpu else 1
    if better != workers:
        workers = better
        pool.keep(workers)
        prepared = ask(max(1, cores // workers))
    output = job.output or _default_output(job, info, prepared)
    _check_output(job, output)
    workers = _that_fit(workers, prepared.worker_bytes, asked=job.workers)
    # A constant on CPUs, where several workers encode at once: neither they nor the machine may change the output.
    encoder = _encoder(job, info, ENCODER_THREADS if on_cpu else max(ENCODER_THREADS, cores))
    color = encoded_color(info.color, rgb=layout_of(encoder.pix_fmt).rgb, lines=prepared.height)
    check_encoder(
        encoder,
        width=prepared.width,
        height=prepared.height,
        time_base=info.time_base,
        rate=info.rate,
        color=color,
    )
    container = CONTAINERS[output.suffix.lower()]
    if not container_takes(container, encoder.codec):
        raise VidpercError(
            f"{output}: {container} cannot hold video from {encoder.codec}; choose another --codec, or an output name "
            f"ending in .mkv"
        )
    facts = {
        "input": input_identity(job.source),
        "pipeline": job.pipeline.settings(),
        "weights": [(card.name, card.scale, card.sha256) for card in prepared.cards],
        "window": window,
        "encoder": (encoder.codec, encoder.pix_fmt, encoder.options),
        "wishes": asdict(job.wishes),
        "keep_audio": job.keep_audio,
        "container": output.suffix.lower(),
        "device": prepared.placement.device,
        "versions": versions(prepared),
    }
    return Ready(
        output=output,
        info=info,
        index=index,
        pts=pts,
        window=window,
        prepared=prepared,
        encoder=encoder,
        color=color,
        workers=workers,
        key=job_key(facts),
    )


def _default_output(job: Job, info: VideoInfo, prepared: Prepared) -> Path:
    scale, rest = divmod(prepared.width, info.width)
    whole = rest == 0 and prepared.height == scale * info.height
    label = job.label or (f"x{scale}" if whole else f"{min(prepared.width, prepared.height)}p")
    suffix = job.source.suffix.lower()
    fits = suffix in CONTAINERS and container_takes(CONTAINERS[suffix], _encoder(job, info, ENCODER_THREADS).codec)
    return (job.folder or job.source.parent) / f"{job.source.stem}_{label}{suffix if fits else '.mkv'}"


def _check_output(job: Job, output: Path) -> None:
    if output.exists() and job.source.exists() and output.samefile(job.source):
        raise VidpercError(f"{output}: is the input itself, which is never touched; choose another -o")
    if output.is_dir():
        raise VidpercError(f"{output}: is a folder, wanted the name of a file")
    if output.suffix.lower() not in CONTAINERS:
        raise VidpercError(
            f"{output}: got the ending {output.suffix or 'none'}, wanted one of {', '.join(sorted(CONTAINERS))}"
        )
    folder = output.parent
    if not folder.is_dir():
        raise VidpercError(f"{folder}: no such folder; make it first, or choose another -o")
    if not os.access(folder, os.W_OK):
        raise VidpercError(f"{folder}: may not be written; choose another -o")
    if output.exists() and not job.overwrite and read_identity(output) is None:
        raise VidpercError(f"{output}: exists and was not made by this job; -y overwrites it")


def _selection(job: Job, info: VideoInfo, index: FrameIndex) -> tuple[tuple[int, ...], tuple[int, int] | None]:
    """The pts of the asked excerpt, and its window; None for the window of the whole."""
    if job.start is None and job.end is None and job.sample is None:
        return index.pts, None
    first = index.pts[0]
    whole_end = index.pts[-1] + index.last_duration
    total = (whole_end - first) * info.time_base
    start = job.start
    if start is None:
        start = max(Fraction(0), (total - job.sample) / 2) if job.sample is not None else Fraction(0)
    end = job.end if job.end is not None else total
    if job.sample is not None:
        end = min(end, start + job.sample)
    low, high = first + start / info.time_base, first + end / info.time_base
    pts = index.pts[bisect_left(index.pts, low) : bisect_left(index.pts, high)]
    if not pts:
        raise VidpercError(
            f"{info.path}: no frame between {float(start):g} s and {float(end):g} s; it lasts {float(total):.3f} s"
        )
    after = bisect_left(index.pts, pts[-1]) + 1
    return pts, (pts[0], index.pts[after] if after < len(index.pts) else whole_end)


def _encoder(job: Job, info: VideoInfo, threads: int) -> EncoderSettings:
    return choose_encoder(
        source_pix_fmt=info.pix_fmt,
        bits=info.bits,
        codec=job.codec,
        quality=job.quality,
        preset=job.preset,
        pix_fmt=job.pix_fmt,
        options=job.encoder_options,
        threads=threads,
    )


def _that_fit(workers: int, worker_bytes: int, *, asked: int | None) -> int:
    if asked is not None:
        return workers
    room = int(psutil.virtual_memory().available * 0.8)
    return max(1, min(workers, room // worker_bytes))


def versions(prepared: Prepared) -> dict[str, str]:
    """The versions that decide frames: ours, PyAV's, its FFmpeg's, torch's."""
    return {"vidperc": __version__, "av": av.__version__, "ffmpeg": av.ffmpeg_version_info, **prepared.versions}


def warnings(info: VideoInfo) -> list[str]:
    """What of a source is not handled as its owner may expect."""
    found: list[str] = []
    if info.interlaced:
        found.append("the source is interlaced; its fields are enlarged as they are woven, deinterlace it first")
    if info.alpha:
        found.append("the source has transparency, which is not kept yet")
    if info.color.transfer in HDR_TRANSFERS:
        found.append("the source is HDR; its transfer is kept and tagged, its mastering metadata is not copied yet")
    return found


def make_plan(job: Job, ready: Ready) -> Plan:
    """The plan of a run that starts now."""
    prepared = ready.prepared
    return Plan(
        width=prepared.width,
        height=prepared.height,
        source_width=ready.info.width,
        source_height=ready.info.height,
        time_base=ready.info.time_base,
        rate=ready.info.rate,
        color=ready.info.color,
        output_color=ready.color,
        last_duration=ready.index.last_duration,
        window=ready.window,
        timed=not ready.index.sequential,
        placement=prepared.placement,
        encoder=ready.encoder,
        segments=plan_segments(
            ready.index,
            ready.pts,
            lead=prepared.lead,
            tail=prepared.tail,
            frame_work=prepared.frame_work,
            exact_seek=ready.info.container.startswith(("mov", "matroska")),
        ),
        versions=versions(prepared),
    )


def run_job(job: Job, pool: WorkerPool, watcher: Watcher) -> JobReport:
    """Do a job, or what is left of it; returns what was done.

    The output appears at once and whole, or not at all. A killed or interrupted run is taken up again by the same
    call; a finished one is recognised by the identity in its output, and nothing is done.
    Raises VidpercError, and Interrupted on Ctrl-C.
    """
    began = perf_counter()
    ready = prepare_job(job, pool)
    for remark in ready.prepared.remarks:
        watcher.said(remark)
    for warning in warnings(ready.info):
        watcher.warned(warning)
    if ready.output.exists() and not job.overwrite:
        if read_identity(ready.output) == ready.key:
            return JobReport(
                source=str(job.source), output=str(ready.output), already_done=True, frames_out=len(ready.pts)
            )
        raise VidpercError(f"{ready.output}: exists and was made with other settings; -y overwrites it")
    with Journal(ready.output, ready.key) as journal:
        known = journal.read_plan()
        plan = known or make_plan(job, ready)
        rendering = _Rendering(job, ready, plan, journal, pool, watcher, began)
        try:
            if known is None:
                journal.write_plan(plan)
            sidecars = rendering.run()
            watcher.joining()
            report = _finish(job, ready, plan, journal, sidecars, rendering)
        except KeyboardInterrupt:
            raise Interrupted(_how_far(journal, plan)) from None
        except DiskFull as error:
            raise VidpercError(f"the disk is full ({error}); {_how_far(journal, plan)}") from error
        except OSError as error:
            if error.errno in DISK_FULL:
                raise VidpercError(f"the disk is full; {_how_far(journal, plan)}") from error
            raise
        journal.remove()
    report.seconds["wall"] = perf_counter() - began
    return report


def _how_far(journal: Journal, plan: Plan) -> str:
    kept = [segment for segment in plan.segments if journal.finished(segment)]
    frames = sum(len(segment.pts) for segment in kept)
    if not kept:
        return "nothing was finished yet, nothing is left behind"
    return (
        f"{frames} of {plan.frames} frames are finished and kept in {journal.folder.name}; "
        f"the same command goes on from there"
    )


class _Rendering:
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

    def run(self) -> list[Sidecar]:
        """Render what an earlier run left; returns the sidecars of all segments in order."""
        todo: list[Segment] = []
        for segment in self._plan.segments:
            sidecar = self._journal.finished(segment)
            if sidecar is None:
                todo.append(segment)
            else:
                self._sidecars[segment.index] = sidecar
        self.resumed = len(self._sidecars)
        self._watcher.planned(self._plan, self._frames())
        tasks = [
            RenderTask(
                source=self._job.source.absolute(),
                spec=self._job.pipeline,
                plan=_without_segments(self._plan),
                segment=segment,
                folder=self._journal.folder.absolute(),
            )
            for segment in todo
        ]

        def done(place: int, answer: object) -> None:
            assert isinstance(answer, Rendered)
            self._journal.finish(todo[place], answer.path, answer.sidecar)
            self._running.pop(place, None)
            self._sidecars[todo[place].index] = answer.sidecar
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
        if perf_counter() - self._sampled > 1:
            self._sampled = perf_counter()
            self.peak_memory = max(self.peak_memory, self._pool.memory())


def _without_segments(plan: Plan) -> Plan:
    """The plan as a worker needs it: its own segment travels beside it, the others are none of its business."""
    return replace(plan, segments=())


def _finish(
    job: Job, ready: Ready, plan: Plan, journal: Journal, sidecars: list[Sidecar], rendering: _Rendering
) -> JobReport:
    if len({sidecar.extradata for sidecar in sidecars}) > 1:
        raise RuntimeError(f"{plan.encoder.codec} gave segments with different headers, they cannot be joined")
    began = perf_counter()
    partial = journal.folder / f"output.partial{ready.output.suffix}"
    parts = [
        Part(journal.segment_path(segment), sidecar.packet_pts)
        for segment, sidecar in zip(plan.segments, sidecars, strict=True)
        if sidecar.packet_pts
    ]
    if not parts:
        raise VidpercError(f"{job.source}: no frame could be decoded, wanted {plan.frames}")
    copied = write_output(
        partial,
        parts,
        source=ready.info,
        last_duration=plan.last_duration,
        window=plan.window,
        keep_audio=job.keep_audio,
        identity=ready.key,
    )
    joined = perf_counter()
    shift = plan.window[0] if plan.window else 0
    shown = sorted(pts - shift for part in parts for pts in part.packet_pts)
    error = verify_output(
        partial, pts=shown, time_base=plan.time_base, size=(plan.width, plan.height), packets=copied.packets
    )
    sync(partial)
    verified = perf_counter()
    partial.replace(ready.output)
    sync(ready.output.parent)
    counts: dict[str, int] = {}
    for sidecar in sidecars:
        for name, value in sidecar.counts.items():
            counts[name] = counts.get(name, 0) + value
    return JobReport(
        source=str(job.source),
        output=str(ready.output),
        frames_in=len(ready.pts),
        frames_out=len(shown),
        width=plan.width,
        height=plan.height,
        time_error_seconds=error,
        streams=StreamReport(kept=copied.kept, dropped=copied.dropped),
        color={"source": asdict(plan.color), "output": asdict(plan.output_color)},
        encoder=asdict(plan.encoder),
        placement=asdict(plan.placement),
        workers=ready.workers,
        segments=len(plan.segments),
        resumed_segments=rendering.resumed,
        crashed_workers=rendering.crashes,
        damage=counts,
        seconds={
            "render": began - rendering.started,
            "join": joined - began,
            "verify": verified - joined,
            **{f"cpu_{part}" if not part.startswith("waited") else part: s for part, s in rendering.seconds().items()},
        },
        first_frame_seconds=rendering.first_frame_seconds,
        peak_memory_bytes=rendering.peak_memory,
        output_bytes=ready.output.stat().st_size,
        versions=plan.versions,
    )
