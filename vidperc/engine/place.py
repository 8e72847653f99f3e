"""Where a job's output goes, and whether it may."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from vidperc.errors import VidpercError
from vidperc.video.bare import FORMS
from vidperc.video.encoder import container_takes
from vidperc.video.identity import read_identity
from vidperc.video.output import CONTAINERS

if TYPE_CHECKING:
    from vidperc.engine.job import Job
    from vidperc.engine.plan import Prepared
    from vidperc.video.probe import VideoInfo


def default_output(job: Job, info: VideoInfo, prepared: Prepared, segment: bytes) -> Path:
    """The output's name where the user gave none. segment: of the video, as container_takes() wants it."""
    scale, rest = divmod(prepared.width, info.width)
    whole = rest == 0 and prepared.height == scale * info.height
    label = job.label or (f"x{scale}" if whole else f"{min(prepared.width, prepared.height)}p")
    suffix = job.source.suffix.lower()
    fits = suffix in CONTAINERS and container_takes(CONTAINERS[suffix], segment)
    return (job.folder or job.source.parent) / f"{job.source.stem}_{label}{suffix if fits else '.mkv'}"


def check_output(job: Job, output: Path) -> None:
    """Raises VidpercError where the job may not write, or nothing that it could make."""
    if output.exists() and job.source.exists() and output.samefile(job.source):
        raise VidpercError(f"{output}: is the input itself, which is never touched; choose another -o")
    if job.guide is not None and output.exists() and job.guide.exists() and output.samefile(job.guide):
        raise VidpercError(f"{output}: is the guide, which is never touched; choose another -o")
    if output.is_dir():
        raise VidpercError(f"{output}: is a folder, wanted the name of a file")
    if output.exists() and not output.is_file():
        raise VidpercError(f"{output}: is no file but a device or a pipe; -o - writes to standard output")
    endings = sorted((*CONTAINERS, *FORMS))
    if output.suffix.lower() not in endings:
        raise VidpercError(f"{output}: got the ending {output.suffix or 'none'}, wanted one of {', '.join(endings)}")
    folder = output.parent
    if not folder.is_dir():
        raise VidpercError(f"{folder}: no such folder; make it first, or choose another -o")
    if not os.access(folder, os.W_OK):
        raise VidpercError(f"{folder}: may not be written; choose another -o")
    if output.exists() and not job.overwrite and read_identity(output) is None:
        raise VidpercError(f"{output}: exists and was not made by this job; -y overwrites it")
