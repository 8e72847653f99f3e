"""Footage: a video, or a folder of frames, of which any run of frames can be read, with its shots."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from torch import Tensor

from vidperc.errors import VidpercError
from vidperc.motion.estimator import grey_frame
from vidperc.ops.color import planes_to_rgb
from vidperc.ops.resize import resize
from vidperc.training.clips import ClipPixels, to_pixels
from vidperc.training.scenes import find_shots
from vidperc.video.cuts import CutThresholds, detect_cuts
from vidperc.video.index import EXACT_SEEK_FORMATS, FrameIndex, index_frames
from vidperc.video.novelty import HEIGHT, WIDTH
from vidperc.video.packets import Counts
from vidperc.video.planes import frame_planes, layout_of
from vidperc.video.probe import VideoInfo, probe
from vidperc.video.source import read_frames
from vidperc.video.stills import read_still, still_paths


@dataclass(frozen=True)
class Footage:
    """Frames that can be read.

    shots: places of the first frame of each, and behind its last. reader: what reads it.
    frames: the frames first to behind - 1, (3,H,W) RGB in [0,1] each; fewer where they are damaged.
    missing: of a folder, a line for each image that no shot holds.
    """

    path: Path
    width: int
    height: int
    shots: tuple[tuple[int, int], ...]
    frames: Callable[[int, int], Iterator[Tensor]]
    reader: Literal["PyAV", "images"] = "images"
    missing: tuple[str, ...] = ()

    def starts(self, frames: int) -> int:
        """At how many places so many frames of one shot begin."""
        return sum(max(0, behind - first - frames + 1) for first, behind in self.shots)

    def start(self, place: int, frames: int) -> int:
        """The frame that the `place`-th of these places is."""
        left = place
        for first, behind in self.shots:
            here = max(0, behind - first - frames + 1)
            if left < here:
                return first + left
            left -= here
        raise ValueError(f"place: got {place} beyond the last")


def open_video(path: Path) -> Footage:
    """A video file, looked through for its cuts once.

    Raises VidpercError for a file that cannot be read, and for an interlaced one, whose frames are of two times.
    """
    info, index = probe(path), index_frames(path)
    if info.interlaced:
        raise VidpercError(f"{path}: is interlaced; deinterlace it first")
    shots = tuple(find_shots(info, index))

    def frames(first: int, behind: int) -> Iterator[Tensor]:
        return _decoded(info, index, first, behind)

    return Footage(path, info.width, info.height, shots, frames, "PyAV")


def open_frames(folder: Path) -> Footage:
    """A folder of numbered images, looked through for its cuts once.

    Images that cannot be read, and those of another size than most, are left out, and end a shot.
    Raises VidpercError where none can be read.
    """
    paths = sorted(still_paths(folder), key=_numbered)
    missing: dict[int, str] = {}
    sizes: dict[int, tuple[int, int]] = {}
    pictures: dict[int, NDArray[np.uint8]] = {}
    for place, path in enumerate(paths):
        try:
            frame = read_still(path)
        except VidpercError as error:
            missing[place] = str(error)
            continue
        sizes[place] = frame.shape[:2]
        small = cv2.resize(grey_frame(_unit(frame)), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        pictures[place] = np.asarray(small, np.uint8)
    if not sizes:
        raise VidpercError(missing[0])
    (height, width), _ = Counter(sizes.values()).most_common(1)[0]
    for place, (high, wide) in sizes.items():
        if (high, wide) != (height, width):
            missing[place] = f"{paths[place]}: is {wide}x{high}, most are {width}x{height}"
    shots: list[tuple[int, int]] = []
    borders = [-1, *sorted(missing), len(paths)]
    for first, behind in ((before + 1, after) for before, after in pairwise(borders) if after - before > 1):
        run = [(place, pictures[place]) for place in range(first, behind)]
        shots += pairwise([first, *(cut.pts for cut in detect_cuts(run, CutThresholds())), behind])

    def frames(first: int, behind: int) -> Iterator[Tensor]:
        return (_unit(read_still(path)) for path in paths[first:behind])

    told = tuple(missing[place] for place in sorted(missing))
    return Footage(folder, width, height, tuple(shots), frames, missing=told)


def read_excerpt(footage: Footage, start: int, frames: int, size: float) -> ClipPixels | None:
    """So many frames from `start` on, shrunk by the factor `size`, (frames,H,W,3); None where they are damaged.

    Raises VidpercError for an image that cannot be read any more, or a container that ends early.
    """
    height, width = round(footage.height * size), round(footage.width * size)
    found: list[ClipPixels] = []
    for frame in footage.frames(start, start + frames):
        if frame.shape != (3, footage.height, footage.width):
            return None
        found.append(to_pixels(resize(frame[None], (height, width), "bicubic")))
    return np.concatenate(found) if len(found) == frames else None


def _decoded(info: VideoInfo, index: FrameIndex, first: int, behind: int) -> Iterator[Tensor]:
    """The frames from the nearest keyframe that leads to them, whole; nothing where none does."""
    wanted = index.pts[first:behind]
    stop = index.pts[behind] if behind < len(index.pts) else None
    exact = info.container.startswith(EXACT_SEEK_FORMATS)
    for keyframe in (*index.seeks(wanted[0], exact=exact), None):
        counts, reformatter = Counts(), VideoReformatter()
        found: list[Tensor] = []
        for decoded in read_frames(
            info.path,
            start=wanted[0],
            stop=stop,
            keyframe=keyframe,
            timed=not index.sequential,
            threads=1,
            size=(info.width, info.height),
            counts=counts,
        ):
            if counts.damage or len(found) == len(wanted) or decoded.pts != wanted[len(found)]:
                break
            layout = layout_of(decoded.frame.format.name)
            planes = [torch.from_numpy(plane) for plane in frame_planes(decoded.frame, layout, reformatter)]
            color = info.color
            found.append(
                planes_to_rgb(planes, layout, matrix=color.matrix, full_range=color.full_range, siting=color.siting)
            )
        if len(found) == len(wanted):
            yield from found
            return


def _unit(pixels: ClipPixels) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1).float().div_(255)  # (3, H, W)


def _numbered(path: Path) -> list[tuple[int, str]]:
    """Names in the order of the numbers in them: 9 comes before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]
