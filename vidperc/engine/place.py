"""Where a job's output goes, and whether it may."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidperc.errors import VidpercError
from vidperc.video.bare import FORMS, PNG, Bare
from vidperc.video.encoder import container_takes
from vidperc.video.identity import read_identity
from vidperc.video.images import image_paths, is_images, is_numbered, number_pattern
from vidperc.video.output import CONTAINERS

if TYPE_CHECKING:
    from vidperc.engine.job import Job
    from vidperc.engine.plan import Prepared
    from vidperc.video.probe import VideoInfo


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an output goes.

    path: what appears in the end, a file or a folder. bare: its form; None for a container.
    folder: it is a folder of images. pattern: how those are named ("%05d.png"); empty for after the source's.
    """

    path: Path
    bare: Bare | None = None
    folder: bool = False
    pattern: str = ""


def asked_form(job: Job) -> Bare | None:
    """The form of the output, as far as the source and the user's words tell; None for a container."""
    if job.output is not None and job.output.suffix:
        return FORMS.get(job.output.suffix.lower())
    return PNG if is_images(job.source) else None


def asked_place(job: Job, output: Path) -> Place:
    """The place that an output's name stands for."""
    if output.suffix.lower() == ".png" and "%" in output.name and is_numbered(output):
        return Place(path=output.parent, bare=PNG, folder=True, pattern=output.name)
    if not output.suffix and is_images(job.source):
        return Place(path=output, bare=PNG, folder=True)
    return Place(path=output, bare=FORMS.get(output.suffix.lower()))


def default_place(job: Job, info: VideoInfo, prepared: Prepared, segment: bytes) -> Place:
    """The output's place where the user named none. segment: of the video, as container_takes() wants it."""
    scale, rest = divmod(prepared.width, info.width)
    whole = rest == 0 and prepared.height == scale * info.height
    label = job.label or (f"x{scale}" if whole else f"{min(prepared.width, prepared.height)}p")
    source = job.source
    if is_images(source):
        one = source.is_file()
        named = source if one else (source.parent if is_numbered(source) else source).absolute()
        folder = job.folder or named.parent
        name = f"{named.stem if one else named.name}_{label}"
        return Place(path=folder / (f"{name}.png" if one else name), bare=PNG, folder=not one)
    suffix = source.suffix.lower()
    fits = suffix in CONTAINERS and container_takes(CONTAINERS[suffix], segment)
    return Place(path=(job.folder or source.parent) / f"{source.stem}_{label}{suffix if fits else '.mkv'}")


def image_names(job: Job, place: Place, pts: Sequence[int]) -> dict[int, str]:
    """The name of each image of a folder, by the pts of its frame.

    Those of the source where it is images and none was asked; else numbers, those of the source's names or from 1.
    Raises VidpercError where two frames would have one name.
    """
    sources = image_paths(job.source) if is_images(job.source) else ()
    if not place.pattern:
        names = {time: f"{sources[time].stem}.png" for time in pts}
        if len(set(names.values())) < len(names):
            raise VidpercError(
                f"{job.source}: images in it differ in their ending alone and would have one name; wanted -o with "
                f"numbers, as in {place.path.name}/%05d.png"
            )
        return names
    first = 1
    if sources and is_numbered(job.source):
        found = number_pattern(job.source).fullmatch(sources[0].name)
        assert found is not None
        first = int(found[1])
    if sources:  # an excerpt keeps the numbers that its images had
        return {time: place.pattern % (first + time) for time in pts}
    return {time: place.pattern % (1 + number) for number, time in enumerate(pts)}


def must_be_one(place: Place, frames: int) -> None:
    """Raises VidpercError for several frames where the output is a single image."""
    if place.bare is PNG and not place.folder and frames != 1:
        numbered = place.path.with_name(f"{place.path.stem}_%05d{place.path.suffix}").name
        raise VidpercError(
            f"{place.path}: is one image, and there are {frames} frames; wanted a number in the name, as in "
            f"frames/{numbered}"
        )


def check_place(job: Job, place: Place) -> None:
    """Raises VidpercError where the job may not write, or nothing that it could make."""
    output = place.path
    if output.exists() and job.source.exists() and output.samefile(job.source):
        raise VidpercError(f"{output}: is the input itself, which is never touched; choose another -o")
    if job.guide is not None and output.exists() and job.guide.exists() and output.samefile(job.guide):
        raise VidpercError(f"{output}: is the guide, which is never touched; choose another -o")
    if place.folder:
        _check_folder(job, output)
    else:
        _check_file(job, output)
    folder = output.absolute().parent
    if not folder.is_dir():
        raise VidpercError(f"{output.parent}: no such folder; make it first, or choose another -o")
    if not os.access(folder, os.W_OK):
        raise VidpercError(f"{output.parent}: may not be written; choose another -o")
    if not place.folder and output.exists() and not job.overwrite and read_identity(output) is None:
        raise VidpercError(f"{output}: exists and was not made by this job; -y overwrites it")


def _check_file(job: Job, output: Path) -> None:
    if output.is_dir():
        raise VidpercError(f"{output}: is a folder, wanted the name of a file")
    if output.exists() and not output.is_file():
        raise VidpercError(f"{output}: is no file but a device or a pipe; -o - writes to standard output")
    endings = sorted((*CONTAINERS, *FORMS))
    if output.suffix.lower() not in endings:
        raise VidpercError(f"{output}: got the ending {output.suffix or 'none'}, wanted one of {', '.join(endings)}")


def _check_folder(job: Job, output: Path) -> None:
    """A folder of images is new, empty, or one that a job made: nothing of the user's is mixed in, or replaced."""
    if output.exists() and not output.is_dir():
        raise VidpercError(f"{output}: is a file, wanted a folder for the images")
    if is_numbered(job.source) and output.exists() and output.samefile(job.source.parent):
        raise VidpercError(f"{output}: has the input in it, which is never touched; choose another -o")
    if output.is_dir() and any(output.iterdir()) and read_identity(output) is None:
        raise VidpercError(f"{output}: holds files that were not made by this job; wanted a new or an empty folder")
