"""Decoded frames as clips for the stages, and finished clips as planes for the encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import torch
from av.video.reformatter import VideoReformatter
from torch import Tensor

from vidperc.clip import Clip, Color
from vidperc.ops.color import planes_to_rgb, planes_to_yuv, rgb_to_planes, yuv_to_planes
from vidperc.ops.layout import LAYOUTS, PixelLayout
from vidperc.video.planes import frame_planes, layout_of
from vidperc.video.source import Decoded


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """How frames become clips.

    layout: the pixel format that they are read in and stay in as YUV; empty for RGB. color: of the source.
    time_base: of their pts. chunk: frames that a clip has at most. device: where its tensors are.
    """

    layout: str
    color: Color
    time_base: Fraction
    chunk: int
    device: str


def clips_of(frames: Iterable[Decoded], pictures: Pictures, shot: Callable[[int], int]) -> Iterator[Clip]:
    """Frames as clips of at most one chunk and of one shot; shot(pts) is the number of the shot that a frame is in."""
    reformatter = VideoReformatter()
    layout: PixelLayout | None = LAYOUTS[pictures.layout] if pictures.layout else None
    pending: list[tuple[Tensor, Tensor | None]] = []
    times: list[int] = []
    running = 0
    for decoded in frames:
        here = shot(decoded.pts)
        if pending and (here != running or len(pending) >= pictures.chunk):
            yield _clip(pending, times, running, pictures)
            pending, times = [], []
        running = here
        layout = layout or layout_of(decoded.frame.format.name)
        planes = [
            torch.from_numpy(plane).to(pictures.device)  # pyright: ignore[reportUnknownMemberType]
            for plane in frame_planes(decoded.frame, layout, reformatter)
        ]
        color = pictures.color
        if pictures.layout:
            pending.append(planes_to_yuv(planes, layout, full_range=color.full_range))
        else:
            pending.append((planes_to_rgb(planes, layout, matrix=color.matrix, full_range=color.full_range), None))
        times.append(decoded.pts)
    if pending:
        yield _clip(pending, times, running, pictures)


def _clip(pending: list[tuple[Tensor, Tensor | None]], times: list[int], shot: int, pictures: Pictures) -> Clip:
    frames = _stacked([frame for frame, _ in pending])  # (T,C,h,w)
    chroma = [beside for _, beside in pending if beside is not None]
    return Clip(
        frames=frames,
        source=frames,
        pts=tuple(times),
        time_base=pictures.time_base,
        shot=shot,
        color=pictures.color,
        layout=LAYOUTS[pictures.layout] if pictures.layout else None,
        chroma=_stacked(chroma) if chroma else None,
    )


def _stacked(tensors: list[Tensor]) -> Tensor:
    return tensors[0][None] if len(tensors) == 1 else torch.stack(tensors)  # large frames travel alone, without a copy


def planes_of(clip: Clip, index: int, layout: PixelLayout, color: Color) -> list[Tensor]:
    """The planes to encode of one frame of a clip, in the output's layout and colour."""
    if clip.layout is None:
        return rgb_to_planes(clip.frames[index], layout, matrix=color.matrix, full_range=color.full_range)
    chroma = None if clip.chroma is None else clip.chroma[index]
    return yuv_to_planes(clip.frames[index], chroma, layout, full_range=color.full_range)
