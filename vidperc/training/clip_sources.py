"""The files of a material, opened and looked through: what gives clips, and what is left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from vidperc.errors import VidpercError
from vidperc.training.footage import Footage, open_frames, open_video
from vidperc.training.material import Material, Sources
from vidperc.video.stills import read_still

Say = Callable[[str], None]


@dataclass(frozen=True)
class Photo:
    """An image that is large enough, and how often it is chosen: as the square root of its area."""

    path: Path
    weight: float


def fitting_sizes(footage: Footage, material: Material) -> list[float]:
    """The sizes at which its frames hold a clip."""
    short = min(footage.width, footage.height)
    return [size for size in material.sizes if round(short * size) >= material.side]


def open_footage(material: Material, sources: Sources, threads: Executor, say: Say) -> list[Footage]:
    """The videos and folders of frames that give clips, in order; what is left out is told in one line.

    Raises VidpercError where none does.
    """
    paths = (*sources.videos, *sources.frame_folders)
    found: list[Footage] = []
    without: dict[str, list[str]] = {}

    def look(path: Path) -> Footage | tuple[str, str]:
        return _looked_through(path, material)

    for footage in threads.map(look, paths):
        if isinstance(footage, tuple):
            why, which = footage
            without.setdefault(why, []).append(which)
        else:
            found.append(footage)
    left_out = _left_out(without, len(paths), "videos")
    if not found:
        raise VidpercError(
            f"no video gives a clip: {left_out or 'got none'}; wanted videos, or in a folder the frames of one by "
            "number; or fewer frames, or a smaller side"
        )
    readers = Counter(footage.reader for footage in found)
    told = ", ".join(f"{count} read by {reader}" for reader, count in sorted(readers.items()))
    say(f"{len(found)} videos with {sum(len(f.shots) for f in found)} shots, {told}")
    if left_out:
        say(left_out)
    missing = [line for footage in found for line in footage.missing]
    if missing:
        say(f"left out of the footage, with clips across them: {len(missing)} images ({_some(missing, 1)})")
    return found


def _some(told: Sequence[str], most: int) -> str:
    return "; ".join(told[:most]) + ("; ..." if len(told) > most else "")


def gives_clips(path: Path, material: Material) -> bool:
    """Whether a video, or a folder of frames, can be read and holds clips of the material's length and side."""
    return not isinstance(_looked_through(path, material), tuple)


def _looked_through(path: Path, material: Material) -> Footage | tuple[str, str]:
    """What can be cut into clips; else why not, in general and of this file."""
    try:
        footage = open_frames(path) if path.is_dir() else open_video(path)
    except VidpercError as error:
        told = str(error).removeprefix(f"{path}: ")
        return "unreadable", f"{path.name}: {told}"
    if not footage.starts(material.frames):
        missing = f" without {len(footage.missing)} images: {_some(footage.missing, 1)}" if footage.missing else ""
        return f"without a shot of {material.frames} frames", path.name + missing
    if not fitting_sizes(footage, material):
        return f"smaller than {material.side} pixels at every size", path.name
    return footage


def _left_out(without: Mapping[str, Sequence[str]], count: int, what: str) -> str:
    """A line about files that give nothing, by reason; empty where all do."""
    parts = [f"{len(names)} {why} ({_some(names, 3)})" for why, names in without.items()]
    return f"left out {sum(map(len, without.values()))} of {count} {what}: {', '.join(parts)}" if parts else ""


def open_photos(material: Material, sources: Sources, threads: Executor, say: Say) -> list[Photo]:
    """The images that are large enough, in order; what is left out is told in one line.

    Raises VidpercError where none is.
    """

    def size_of(path: Path) -> tuple[int, int] | str:
        try:
            return read_still(path).shape[:2]
        except VidpercError as error:
            return str(error).removeprefix(f"{path}: ")

    found: list[Photo] = []
    without: dict[str, list[str]] = {}
    for path, size in zip(sources.images, threads.map(size_of, sources.images), strict=True):
        if isinstance(size, str):
            without.setdefault("unreadable", []).append(f"{path.name}: {size}")
        elif min(size) < material.side:
            without.setdefault(f"smaller than {material.side} pixels", []).append(path.name)
        else:
            found.append(Photo(path, float(size[0] * size[1]) ** 0.5))
    left_out = _left_out(without, len(sources.images), "images")
    if not found:
        raise VidpercError(f"no image gives a clip: {left_out or 'got none'}; wanted larger ones, or a smaller side")
    if left_out:
        say(left_out)
    return found
