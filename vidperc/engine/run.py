"""Running a job: its segments rendered, joined, verified, and the output put in its place."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

from vidperc.engine.cuts import cuts_for_plan
from vidperc.engine.delivery import deliver, is_there, put_in_place
from vidperc.engine.job import Job
from vidperc.engine.journal import Journal, Sidecar, folder_bytes, input_identity
from vidperc.engine.plan import Plan
from vidperc.engine.pool import DiskFull, WorkerPool
from vidperc.engine.prepare_job import prepare_job
from vidperc.engine.ready import Ready, make_plan, warnings
from vidperc.engine.rendering import Rendering
from vidperc.engine.report import JobReport, stream_report
from vidperc.engine.watcher import Watcher
from vidperc.errors import VidpercError
from vidperc.video.identity import read_identity
from vidperc.video.output import Part
from vidperc.video.picture_fates import change_fates

log = logging.getLogger(__name__)

DISK_FULL = frozenset({28, 122})  # ENOSPC, EDQUOT


class Interrupted(Exception):
    """Ctrl-C: how far the job got and how to go on."""


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
    warned = warnings(job, ready)
    for warning in warned:
        watcher.warned(warning)
    if is_there(ready.output) and not job.overwrite:
        made_by = read_identity(ready.output)
        if made_by and ready.key.startswith(made_by):
            return JobReport(
                source=str(job.source),
                output=str(ready.output),
                already_done=True,
                frames_out=len(ready.pts),
                window=ready.window,
                placement=asdict(ready.prepared.placement),
            )
        raise VidpercError(f"{ready.output}: exists and was made with other settings; -y overwrites it")
    with Journal(ready.output, ready.key) as journal:
        others = journal.others(job.source.name)
        if others:
            warned.append(_unfinished(others))
            watcher.warned(warned[-1])
        for choice in ready.chosen:
            watcher.chose(choice)
        known = journal.read_plan()
        plan = known or make_plan(job, ready, cuts_for_plan(job, ready, watcher))
        _log_plan(plan, ready.workers)
        rendering = Rendering(job, ready, plan, journal, pool, watcher, began)
        try:
            if known is None:
                journal.write_plan(plan)
            sidecars = rendering.run()
            watcher.joining()
            report = _finish(job, ready, plan, journal, sidecars, rendering)
        except KeyboardInterrupt:
            raise Interrupted(rendering.how_far()) from None
        except DiskFull as error:
            raise VidpercError(f"the disk is full ({error}); {rendering.how_far()}") from error
        except OSError as error:
            if error.errno in DISK_FULL:
                raise VidpercError(f"the disk is full; {rendering.how_far()}") from error
            raise
        journal.remove()
    report.remarks.extend(warned)
    report.seconds["wall"] = perf_counter() - began
    return report


def _log_plan(plan: Plan, workers: int) -> None:
    log.debug(
        "%s: %d segments, %d workers, %s, %s", plan.source, len(plan.segments), workers, plan.placement, plan.encoder
    )
    for segment in plan.segments:
        log.debug(
            "%s: segment %d: %d frames, pts %d to %d, %d before and %d after are read too",
            *(plan.source, segment.index, len(segment.pts), segment.pts[0], segment.pts[-1]),
            *(len(segment.lead), len(segment.tail)),
        )


def _unfinished(folders: list[Path]) -> str:
    named = ", ".join(f"{folder.name} ({folder_bytes(folder) / 1e6:.1f} MB)" for folder in folders)
    return (
        f"unfinished runs with other settings or versions are kept in {named}; the command that began one goes on from "
        f"there, else delete the folder"
    )


def _finish(
    job: Job, ready: Ready, plan: Plan, journal: Journal, sidecars: list[Sidecar], rendering: Rendering
) -> JobReport:
    if len({sidecar.extradata for sidecar in sidecars if sidecar.packet_pts}) > 1:
        raise RuntimeError(f"{plan.encoder.codec} gave segments with different headers, they cannot be joined")
    began = perf_counter()
    parts = [
        Part(journal.segment_path(segment), sidecar.packet_pts)
        for segment, sidecar in zip(plan.segments, sidecars, strict=True)
        if sidecar.packet_pts
    ]
    if not parts:
        raise VidpercError(f"{job.source}: no frame could be decoded, wanted {plan.frames}")
    frames = sum(len(part.packet_pts) for part in parts)
    partial = journal.folder / f"output.partial{ready.output.suffix}"
    if rendering.outflow is None:
        delivery = deliver(job, ready, plan, parts, partial)
    else:
        delivery = rendering.outflow.finish(ready, frames)
    for path, identity in ready.identities.items():
        if input_identity(path) != identity:
            journal.remove()
            kept = "its output is thrown away" if rendering.outflow is None else "its output is of no use"
            raise VidpercError(f"{path}: was changed while it was read, {kept}; run it again")
    if rendering.outflow is None:
        if not job.overwrite and is_there(ready.output):
            raise VidpercError(f"{ready.output}: appeared while this job ran; -y overwrites it, {rendering.how_far()}")
        put_in_place(partial, ready.output, journal.folder)
    others = delivery.copied.fates if ready.cut_off is None else ready.cut_off.told(delivery.copied.fates)
    counts: dict[str, int] = {}
    for sidecar in sidecars:
        for name, value in sidecar.counts.items():
            counts[name] = counts.get(name, 0) + value
    return JobReport(
        source=str(job.source),
        output="-" if job.pipe is not None else str(ready.output),
        guide="" if job.guide is None else str(job.guide),
        pipeline=ready.pipeline.settings(),
        remarks=[*ready.chosen, *ready.prepared.remarks],
        frames_in=len(ready.pts),
        frames_out=frames,
        width=plan.width,
        height=plan.height,
        window=plan.window,
        time_error_seconds=delivery.time_error,
        streams=stream_report(others),
        fidelity=[
            *change_fates(
                ready.picture_fates, counts, ready.info, plan.encoder, deinterlace=job.deinterlace, frames=frames
            ),
            *others,
        ],
        layout=plan.layout,
        color={"source": asdict(plan.color), "output": asdict(plan.output_color)},
        encoder=asdict(plan.encoder),
        placement=asdict(plan.placement),
        workers=ready.workers,
        cuts=sum(ready.pts[0] < cut <= ready.pts[-1] for cut in plan.cuts),
        segments=len(plan.segments),
        resumed_segments=rendering.resumed,
        crashed_workers=rendering.crashes,
        damage=counts,
        seconds={
            "render": began - rendering.started,
            "join": delivery.join_seconds,
            "verify": delivery.verify_seconds,
            **{f"cpu_{part}" if not part.startswith("waited") else part: s for part, s in rendering.seconds().items()},
        },
        first_frame_seconds=rendering.first_frame_seconds,
        peak_memory_bytes=rendering.peak_memory,
        output_bytes=delivery.nbytes,
        versions=plan.versions,
    )
