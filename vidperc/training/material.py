"""What clips are made of: videos, folders of frames, and images for a made-up camera; and what is never learnt from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from vidperc.errors import VidpercError
from vidperc.video.identity import WORK_MARK, read_identity
from vidperc.video.stills import SUFFIXES, still_paths
from vidperc.video.video_files import VIDEO_SUFFIXES, is_video_file

Part = Literal["learnt", "held_out"]

# A file is told from another of its length by all its bytes up to so many, else by looks of some bytes, evenly spread.
_WHOLE, _LOOK, _LOOKS = 1 << 24, 1 << 13, 256


@dataclass(frozen=True, kw_only=True)
class Material:
    """What training clips are made of, all of it inside the data folder.

    videos: files, and folders: all video files in one and in folders below it are taken, and every folder with numbered
        images is a clip; not what is hidden, what vidperc made, nor what links to folders lead to.
    images: folders of sharp images over which a made-up camera moves.
    share_of_images: of the clips, 0 to 1, where there are videos and images.
    count: clips in all. frames: of each. side: of their large frames in pixels.
    sizes: factors of at most 1, one of which every clip is shrunk by before it is cut: video is mostly softer than its
        number of pixels, and sharp again at half the size.
    degradation: what the small frames are made by: bicubic; bd, a Gaussian of sigma 1.5 and one pixel of many; or
        real, what cameras and codecs do (`draw_degradation`), drawn once for each clip.
    flow: exact, where it is known because the clip was made up; found, by the estimator that pipelines use, so that
        training sees the motion that running has. Videos have only the latter.
    held_out: names or globs of files, and of folders of frames, that are never learnt from; of places in the data
        folder, where they begin with `./`.
    """

    videos: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    share_of_images: float = 0.5
    count: int = 400
    frames: int = 10
    side: int = 192
    sizes: tuple[float, ...] = (1.0,)
    degradation: Literal["bicubic", "bd", "real"] = "bicubic"
    flow: Literal["exact", "found"] = "found"
    held_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.videos and not self.images:
            raise ValueError("videos: got none, and no images, wanted the name of a folder")
        if not 0 <= self.share_of_images <= 1:
            raise ValueError(f"share_of_images: got {self.share_of_images:g}, wanted 0 to 1")
        if self.count < 1:
            raise ValueError(f"count: got {self.count}, wanted at least 1")
        if self.frames < 2:
            raise ValueError(f"frames: got {self.frames}, wanted at least 2")
        if self.side < 32:
            raise ValueError(f"side: got {self.side}, wanted at least 32 pixels")
        if not self.sizes or not all(0 < size <= 1 for size in self.sizes):
            raise ValueError(f"sizes: got {list(self.sizes)}, wanted factors above 0 and at most 1")

    def check(self, scale: int) -> None:
        """Raises ValueError, beginning with the field, where clips of it cannot be made small by this scale."""
        multiple = 2 * scale if self.degradation == "real" else scale  # 4:2:0 has half the colour each way
        if self.side % multiple or self.side // scale < 16:
            raise ValueError(
                f"side: got {self.side}, wanted a multiple of {multiple}, and at least {16 * scale} pixels"
            )


@dataclass(frozen=True)
class Sources:
    """The files that a material names, in order. frame_folders: each a clip of numbered images."""

    videos: tuple[Path, ...]
    frame_folders: tuple[Path, ...]
    images: tuple[Path, ...]

    def images_of(self, material: Material) -> int:
        """How many of the material's clips are made of images: its share, all or none where there is but one kind."""
        if not self.images:
            return 0
        return round(material.count * (material.share_of_images if self.videos or self.frame_folders else 1))


def find_sources(material: Material, data: Path, part: Part = "learnt") -> Sources:
    """The files of a material that are learnt from, or those that are held out.

    data: the folder that holds all. Raises VidpercError for a name that is not there, a folder with nothing of the
    kind in it, something held out that there is nothing of, and where nothing is left.
    """
    videos, folders = _footage(data, material.videos)
    images = [path for name in material.images for path in still_paths(data / name)]
    everything = (*videos, *folders, *images)
    for pattern in material.held_out:
        if not any(_matches(path, data, pattern) for path in everything):
            raise VidpercError(
                f"held_out: {pattern!r} is none of the {len(everything)} files found in {data}; wanted a name or a "
                f"glob such as {everything[0].name!r}"
            )

    def chosen(paths: Sequence[Path]) -> tuple[Path, ...]:
        held = {path for path in paths if any(_matches(path, data, name) for name in material.held_out)}
        return tuple(path for path in paths if (path in held) == (part == "held_out"))

    sources = Sources(chosen(videos), chosen(folders), chosen(images))
    if not (sources.videos or sources.frame_folders or sources.images):
        kept = "held out of training, wanted some to learn from" if part == "learnt" else "learnt from, wanted some not"
        raise VidpercError(f"{data}: all of the {len(everything)} files found are {kept}; change held_out")
    return sources


def fingerprint(sources: Sources) -> list[str]:
    """A line for each file that changes when its content does, and not when its folder is moved."""
    videos = [f"video {_told(path)}" for path in sources.videos]
    frames = [
        f"frame of {place}: {_told(path)}"
        for place, folder in enumerate(sources.frame_folders)
        for path in still_paths(folder)
    ]
    return [*videos, *frames, *(f"image {_told(path)}" for path in sources.images)]


def images_in(folders: Sequence[Path]) -> Sources:
    """Every image of these folders. Raises VidpercError for one that is missing or without images."""
    return Sources((), (), tuple(path for folder in folders for path in still_paths(folder)))


def digest_of(sources: Sources) -> str:
    """A word that changes when the content of any file does."""
    return hashlib.sha256("\n".join(fingerprint(sources)).encode()).hexdigest()[:10]


def told_apart_by(material: Material, sources: Sources) -> dict[str, object]:
    """What tells clips of it from others: how they are made, and what is in the files, wherever those lie."""
    how = {key: value for key, value in asdict(material).items() if key not in ("videos", "images", "held_out")}
    return {**how, "content of its files": digest_of(sources)}


def _footage(data: Path, names: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """Video files, and folders of frames."""
    videos: list[Path] = []
    folders: list[Path] = []
    for name in names:
        path = data / name
        if path.is_file():
            videos.append(path)
            continue
        below = sorted(entry for entry in path.rglob("*") if not _is_aside(entry, path))
        found = [entry for entry in below if is_video_file(entry) and read_identity(entry) is None]
        inside = [path] if _has_stills(path) else []
        inside += [entry for entry in below if _has_stills(entry) and read_identity(entry) is None]
        if not found and not inside:
            got = "neither videos nor frames" if path.is_dir() else "no such file or folder"
            raise VidpercError(
                f"{path}: got {got}, wanted a video, a folder of videos ({', '.join(VIDEO_SUFFIXES[:5])}, ...) or of "
                f"numbered {', '.join(SUFFIXES)} files; check the path"
            )
        videos += found
        folders += inside
    return _each_once(videos), _each_once(folders)


def _each_once(paths: Sequence[Path]) -> list[Path]:
    """Without those that only are other names of the ones before them."""
    found: dict[Path, Path] = {}
    for path in paths:
        found.setdefault(path.resolve(), path)
    return list(found.values())


def _is_aside(entry: Path, folder: Path) -> bool:
    """Whether it is hidden, or lies in a folder that is or that a job goes on from."""
    return any(part.startswith(".") or WORK_MARK in part for part in entry.relative_to(folder).parts)


def _has_stills(folder: Path) -> bool:
    try:
        return folder.is_dir() and any(
            path.suffix.lower() in SUFFIXES and not path.is_dir() for path in folder.iterdir()
        )
    except OSError as error:
        raise VidpercError(f"{folder}: cannot be looked into ({error.strerror}); name others, or allow it") from error


def _matches(path: Path, data: Path, pattern: str) -> bool:
    inside = path.relative_to(data).as_posix() if path.is_relative_to(data) else path.as_posix()
    if pattern.startswith("./"):
        return fnmatchcase(inside, pattern[2:])
    return fnmatchcase(path.name, pattern) or fnmatchcase(inside, pattern)


def _told(path: Path) -> str:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if size <= _WHOLE:
                digest = hashlib.file_digest(file, "sha256")
            else:
                digest = hashlib.sha256()
                for place in range(_LOOKS + 1):
                    file.seek((size - _LOOK) * place // _LOOKS)
                    digest.update(file.read(_LOOK))
    except OSError as error:
        return f"{path.name} {error.strerror}"  # whoever reads it says so
    return f"{path.name} {size} {digest.hexdigest()}"
