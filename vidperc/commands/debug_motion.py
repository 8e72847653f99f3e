"""`--debug-motion`: checked before a run, drawn after it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from vidperc.commands.progress import Display
from vidperc.engine.cuts import given_cuts
from vidperc.engine.job import Job
from vidperc.engine.place import asked_form
from vidperc.engine.plan import usable_cores
from vidperc.engine.report import JobReport
from vidperc.engine.run import Interrupted
from vidperc.errors import VidpercError
from vidperc.motion.table import check_size
from vidperc.stages.motion import FindMotion
from vidperc.video.bare import PNG
from vidperc.video.drawing import IDENTITY
from vidperc.video.identity import read_identity
from vidperc.video.images import is_images
from vidperc.video.probe import probe
from vidperc.video.scan import find_cuts

_SUFFIXES = (".mp4", ".mkv")


def check_debug_motion(file: Path, jobs: Sequence[Job], *, dry_run: bool) -> None:
    """Raises VidpercError for what would keep the video of a job's motion from being drawn, and can be known now."""
    if len(jobs) != 1:
        raise VidpercError(f"--debug-motion {file}: is one file for one input, got {len(jobs)}; run them apart")
    if dry_run:
        raise VidpercError(f"--debug-motion {file}: --dry-run makes no output to show; drop one of the two")
    job = jobs[0]
    if job.pipe is not None:
        raise VidpercError(f"--debug-motion {file}: -o - leaves no output to show; drop one of the two")
    if file.suffix.lower() not in _SUFFIXES:
        raise VidpercError(f"--debug-motion {file}: got the ending {file.suffix or 'none'}, wanted .mp4 or .mkv")
    if not file.absolute().parent.is_dir():
        raise VidpercError(f"{file.absolute().parent}: no such folder; make it first, or choose another --debug-motion")
    if not os.access(file.absolute().parent, os.W_OK):
        raise VidpercError(f"{file.absolute().parent}: may not be written; choose another --debug-motion")
    if asked_form(job) is PNG or is_images(_source_of(job)):
        raise VidpercError(f"--debug-motion {file}: shows videos, not images; make a video of them first")
    info = probe(_source_of(job))
    if file.exists() and any(file.samefile(read) for read in (job.source, _source_of(job))):
        raise VidpercError(f"--debug-motion {file}: is the input itself; choose another name")
    if job.guide is not None and (job.start, job.end, job.sample) != (None, None, None):
        raise VidpercError(f"--debug-motion {file}: shows all of a guide; drop --start, --end and --sample")
    if _is_output(file, job):
        raise VidpercError(f"--debug-motion {file}: has the name of the output; choose another")
    for made in (file, _slices(file)):
        if made.is_dir():
            raise VidpercError(f"--debug-motion {file}: {made.name} is a folder; choose another name")
    if not job.overwrite and not (file.exists() and read_identity(file) == IDENTITY):
        for made in (file, _slices(file)):
            if made.exists():
                raise VidpercError(
                    f"--debug-motion {file}: {made.name} exists and is not one of these; -y overwrites it"
                )
    stage = _motion_of(job)
    check_size(stage.estimator, info.width, info.height, stage.size)


def draw_debug_motion(file: Path, job: Job, report: JobReport, display: Display) -> None:
    """Draw the motion of a finished job's source beside its output, with the estimator that its pipeline names.

    Raises VidpercError where the two do not fit, and Interrupted on Ctrl-C.
    """
    from vidperc.compare.motion_video import draw_motion
    from vidperc.motion.estimator import open_estimator
    from vidperc.video.aligned import align

    stage = _motion_of(job)
    device = str(report.placement.get("device", "cpu"))
    try:
        videos = align([_source_of(job), Path(report.output)], window=report.window)
        source = videos[0]
        cuts = given_cuts(job.cuts, source.info, source.index)
        if cuts is None:
            found = find_cuts(
                *(source.info, source.index, job.cuts.thresholds),
                pts=source.pts,
                threads=job.workers or usable_cores(),
                progress=display.scanned,
            )
            cuts = tuple(cut.pts for cut in found)
        estimator = open_estimator(stage.estimator, preset=stage.preset, weights=stage.weights, device=device)
        draw_motion(videos, file, _slices(file), estimator, size=stage.size, cuts=frozenset(cuts), said=display.drew)
    except KeyboardInterrupt:
        raise Interrupted(f"{report.output} is whole, {file} was not finished") from None
    except VidpercError as error:
        raise VidpercError(f"{report.output} is whole, but not --debug-motion {file}: {error}") from error
    display.drawn(f"{file} and {_slices(file).name}: how the source moves, and what was made of it")


def _slices(file: Path) -> Path:
    return file.with_name(f"{file.stem}_xt.png")


def _source_of(job: Job) -> Path:
    """The video whose motion is shown."""
    return job.source if job.guide is None else job.guide


def _motion_of(job: Job) -> FindMotion:
    return next((stage for stage in job.pipeline.stages if isinstance(stage, FindMotion)), FindMotion())


def _is_output(file: Path, job: Job) -> bool:
    """Whether this may be the job's output; a name that the run will choose has a scale or a short side in it."""
    here = file.resolve()
    if job.output is not None:
        return here == job.output.resolve()
    folder = (job.folder or job.source.parent).resolve()
    label = re.escape(job.label) if job.label else r"(x\d+|\d+p)"
    return here.parent == folder and re.fullmatch(f"{re.escape(job.source.stem)}_{label}", here.stem) is not None
