"""The frames of a file as RGB, with or without their times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from av.video.reformatter import VideoReformatter
from torch import Tensor

from vidperc.clip import Color
from vidperc.ops.color import planes_to_rgb
from vidperc.video.planes import frame_planes, layout_of
from vidperc.video.probe import probe
from vidperc.video.source import read_frames


def read_rgb(path: Path, *, color: Color | None = None, threads: int = 0) -> Iterator[Tensor]:
    """Every frame of the main video stream in display order, (3,H,W) float32 RGB, nominal [0,1], not clamped.

    color: how the codes are read; what the file says, or where it says nothing what `probe` guesses, when None.
    threads: of the decoder; 0 lets it choose.
    Raises VidpercError for a file that cannot be read or has no video.
    """
    for _, frame in read_timed_rgb(path, color=color, threads=threads):
        yield frame


def read_timed_rgb(
    path: Path,
    *,
    color: Color | None = None,
    timed: bool = True,
    threads: int = 0,
    size: tuple[int, int] | None = None,
    start: int | None = None,
    stop: int | None = None,
    keyframe: tuple[int, int] | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """The frames of `read_rgb`, each after its pts in ticks of the stream's time base.

    timed, size, start, stop, keyframe: as `read_frames` takes them.
    """
    color = color or probe(path).color
    reformatter = VideoReformatter()
    for decoded in read_frames(
        path, start=start, stop=stop, keyframe=keyframe, timed=timed, threads=threads, size=size
    ):
        layout = layout_of(decoded.frame.format.name)
        planes = [torch.from_numpy(plane) for plane in frame_planes(decoded.frame, layout, reformatter)]
        yield (
            decoded.pts,
            planes_to_rgb(planes, layout, matrix=color.matrix, full_range=color.full_range, siting=color.siting),
        )
