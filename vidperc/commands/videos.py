"""Running a pipeline over one or more videos: what `upscale`, `run` and `steady` share."""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from vidperc.commands.debug_motion import check_debug_motion, draw_debug_motion
from vidperc.commands.download import fetched
from vidperc.commands.json_file import check_json_file, write_json_file
from vidperc.commands.options import VideoOptions
from vidperc.commands.outpipe import piped_out
from vidperc.commands.progress import Display
from vidperc.commands.sizes import parse_bytes
from vidperc.commands.spool import spooled
from vidperc.engine.cuts import AUTO_CUTS, NO_CUTS, cut_choice
from vidperc.engine.estimate import estimate
from vidperc.engine.job import Job
from vidperc.engine.plan import Wishes
from vidperc.engine.pool import WorkerPool
from vidperc.engine.report import JobReport
from vidperc.engine.run import Interrupted, run_job
from vidperc.errors import VidpercError
from vidperc.pipeline import PipelineSpec
from vidperc.version import __version__
from vidperc.video.deinterlace import deinterlace_mode
from vidperc.video.identity import read_identity
from vidperc.video.images import has_images, is_images
from vidperc.video.opening import Limits
from vidperc.video.output import CONTAINERS
from vidperc.video.times import parse_rate, parse_seconds
from vidperc.video.video_files import is_video_file


@dataclass
class _Outcome:
    jobs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    failed: int = 0


def process_videos(
    spec: PipelineSpec,
    inputs: Sequence[Path | str],
    options: VideoOptions,
    *,
    label: str,
    guide: Path | None = None,
) -> int:
    """Run the pipeline over every input; one that fails does not stop the rest. Returns the exit code.

    inputs: files and folders, and addresses as text. label: what is added to the names of outputs; empty for the scale.
    guide: what a single input was made from.
    Raises VidpercError for options that no input could work with.
    """
    spec.check()
    with (
        piped_out(options.output) as (output, pipe),
        fetched(inputs, output, allow_url=options.allow_url) as (paths, output, origins),
        spooled(paths, output) as files,
    ):
        if files != paths:
            origins[files[0]] = "standard input"
        options = replace(options, output=output)
        return _process(spec, options, files, label=label, guide=guide, origins=origins, pipe=pipe)


def _process(
    spec: PipelineSpec,
    options: VideoOptions,
    paths: Sequence[Path],
    *,
    label: str,
    guide: Path | None,
    origins: Mapping[Path, str],
    pipe: BinaryIO | None,
) -> int:
    """origins: where the files are from that were written for this run alone."""
    inputs = _inputs(paths)
    if pipe is not None and len(inputs) > 1:
        raise VidpercError(f"-o -: standard output is one video, got {len(inputs)} inputs; run them apart")
    if options.report is not None:
        check_json_file(options.report, option="--report", what="the report")
    several = len(inputs) > 1
    jobs = [replace(_job(path, spec, options, label, several=several), guide=guide, pipe=pipe) for path in inputs]
    _refuse_equal_outputs(jobs)
    if options.debug_motion is not None:
        check_debug_motion(options.debug_motion, jobs, dry_run=options.dry_run)
    made = _make_folder(jobs[0].folder)
    try:
        return _run(jobs, options, origins)
    finally:
        if made:
            with contextlib.suppress(OSError):  # it holds outputs
                made.rmdir()


def _refuse_equal_outputs(jobs: Sequence[Job]) -> None:
    """Two inputs of one name would write to one file, where all outputs go to one folder, or both become .mkv."""
    seen: dict[tuple[Path, str], Path] = {}
    for job in jobs:
        suffix = job.source.suffix.lower()
        name = job.source.stem + (suffix if suffix in CONTAINERS else ".mkv")
        folder = job.folder or job.source.parent
        first = seen.setdefault((folder, name), job.source)
        if first != job.source:
            raise VidpercError(f"{first} and {job.source}: would both write to one file in {folder}; run them apart")


def _make_folder(folder: Path | None) -> Path | None:
    """The folder, if it was not there and was made."""
    if folder is None or folder.is_dir():
        return None
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise VidpercError(f"-o {folder}: cannot be made a folder ({error.strerror}); choose another -o") from error
    return folder


def _run(jobs: Sequence[Job], options: VideoOptions, origins: Mapping[Path, str]) -> int:
    outcome = _Outcome()
    keep_heap = options.max_memory is None
    seconds = None if options.adapt is None else float(parse_seconds(options.adapt, "--adapt"))
    display = Display(show_progress=not options.no_progress, results_to_stderr=jobs[0].pipe is not None)
    with WorkerPool(keep_heap=keep_heap) as pool, display:
        for number, job in enumerate(jobs, start=1):
            display.begin(job.source, number, len(jobs))
            if job.source in origins:
                mib = job.source.stat().st_size / 2**20
                origin = origins[job.source]
                display.warned(f"{origin} was kept in this file ({mib:.1f} MiB); a run of it cannot be resumed")
            try:
                if options.dry_run:
                    figures = estimate(job, pool)
                    if seconds is not None:
                        from vidperc.commands.adapt import seconds_to_learn

                        figures = replace(figures, seconds=figures.seconds + seconds_to_learn(job, seconds))
                    display.estimated(figures)
                    outcome.jobs.append(asdict(figures))
                else:
                    if seconds is not None:
                        from vidperc.commands.adapt import adapted_job

                        job = adapted_job(job, seconds, pool, say=display.warned)
                    report = run_job(job, pool, display)
                    display.finished(report)
                    if options.debug_motion is not None:
                        draw_debug_motion(options.debug_motion, job, report, display)
                    outcome.jobs.append(_facts(report))
            except VidpercError as error:
                outcome.failed += 1
                outcome.jobs.append({"source": str(job.source), "error": str(error)})
                display.failed(str(error))
            except (Interrupted, KeyboardInterrupt) as error:
                display.failed(f"stopped; {str(error) or 'nothing was begun'}")
                _write_report(options.report, outcome)
                return 130
            except Exception as error:  # a bug of ours must not cost the other inputs their run
                outcome.failed += 1
                outcome.jobs.append({"source": str(job.source), "error": f"{type(error).__name__}: {error}"})
                display.failed(f"{job.source}: this is a bug in vidperc, please report it:\n{traceback.format_exc()}")
    _write_report(options.report, outcome)
    if outcome.failed and len(jobs) > 1:
        display.failed(f"{outcome.failed} of {len(jobs)} inputs failed")
    return 1 if outcome.failed else 0


def _write_report(path: Path | None, outcome: _Outcome) -> None:
    if path is None:
        return
    write_json_file(path, {"vidperc": __version__, "jobs": outcome.jobs}, option="--report")


def _facts(report: JobReport) -> dict[str, Any]:
    return {**asdict(report), "bottleneck": report.bottleneck}


def _inputs(paths: Sequence[Path]) -> list[Path]:
    """Every input; a folder stands for the videos in it that vidperc did not make itself, or is one video in images."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        videos = sorted(p for p in path.iterdir() if is_video_file(p))
        if not videos and has_images(path):
            found.append(path)
            continue
        sources = [p for p in videos if read_identity(p) is None]
        if not sources:
            raise VidpercError(f"{path}: no video in this folder, wanted at least one file such as .mp4 or .mkv")
        found.extend(sources)
    return found


def _limits(options: VideoOptions) -> Limits:
    usual = Limits()
    return replace(
        usual,
        pixels=usual.pixels if options.max_input_pixels is None else options.max_input_pixels,
        streams=usual.streams if options.max_streams is None else options.max_streams,
    )


def _job(path: Path, spec: PipelineSpec, options: VideoOptions, label: str, *, several: bool) -> Job:
    if options.output == "":
        raise VidpercError("-o: is empty, wanted a file or folder; is a variable of the command line not set?")
    output, folder = None if options.output is None else Path(options.output), None
    # The folder of images of an earlier run is what it made, not where it made it.
    made = output is not None and output.is_dir() and is_images(path) and read_identity(output) is not None
    if (
        output is not None
        and not (made and not several)
        and (several or output.is_dir() or str(options.output).endswith(("/", os.sep)))
    ):
        if output.is_file():
            raise VidpercError(f"-o {options.output}: is a file, wanted a folder for several inputs")
        output, folder = None, output
    if several and options.cuts not in (AUTO_CUTS, NO_CUTS):
        raise VidpercError(f"--cuts {options.cuts}: is a list for one video, got several inputs; run them apart")
    encoder_options: dict[str, str] = {}
    for text in options.encoder_options or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise VidpercError(f"-e {text}: wanted KEY=VALUE, an option of the encoder")
        encoder_options[key] = value
    for name, value in (("--workers", options.workers), ("--chunk", options.chunk)):
        if value is not None and value < 1:
            raise VidpercError(f"{name} {value}: wanted at least 1")
    if options.tile is not None and options.tile != 0 and options.tile < 16:
        raise VidpercError(f"--tile {options.tile}: wanted 0 for whole frames, or at least 16 input pixels")
    start, end, sample = (
        None if text is None else parse_seconds(text, option)
        for option, text in (("--start", options.start), ("--end", options.end), ("--sample", options.sample))
    )
    if sample is not None and (end is not None or sample <= 0):
        raise VidpercError("--sample: wanted a time above 0, with --start or alone, not with --end")
    if end is not None and end <= (start or 0):
        raise VidpercError(f"--end {options.end}: not after --start {options.start or 0}")
    return Job(
        source=path,
        pipeline=spec,
        output=output,
        folder=folder,
        label=label,
        start=start,
        end=end,
        sample=sample,
        rate=None if options.fps is None else parse_rate(options.fps, "--fps"),
        cuts=cut_choice(options.cuts, options.cut_threshold, options.fade_threshold),
        codec=options.codec,
        quality=options.crf,
        preset=options.preset,
        pix_fmt=options.pix_fmt,
        encoder_options=encoder_options,
        wishes=Wishes(
            device=options.device,
            precision=options.precision,
            tile=options.tile,
            chunk=options.chunk,
            max_bytes=None if options.max_memory is None else parse_bytes(options.max_memory, "--max-memory"),
        ),
        workers=options.workers,
        keep_audio=not options.no_audio,
        overwrite=options.overwrite,
        strict=options.strict,
        limits=_limits(options),
        deinterlace=deinterlace_mode(options.deinterlace, "--deinterlace"),
        bake_rotation=options.bake_rotation,
    )
