"""Decoded frames as clips for the stages, and finished clips as planes for the encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import torch
from av.video.reformatter import VideoReformatter
from torch import Tensor

from vidperc.clip import Clip, Color
from vidperc.engine.guide import Guided, GuideVideo
from vidperc.ops.color import (
    alpha_to_plane,
    plane_to_alpha,
    planes_to_rgb,
    planes_to_yuv,
    rgb_to_planes,
    yuv_to_planes,
)
from vidperc.ops.layout import LAYOUTS, PixelLayout
from vidperc.ops.resize import resize
from vidperc.ops.turn import NO_TURN, Turn, turned
from vidperc.video.planes import Plane, frame_planes, layout_of
from vidperc.video.source import Decoded
from vidperc.video.stated import own_color


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """How frames become clips.

    layout: the pixel format that they are read in and stay in as YUV; empty for RGB. color: of the source.
    time_base: of their pts. chunk: frames that a clip has at most. device: where its tensors are.
    turn: what is done to pictures that are RGB.
    alpha: frames have one and the output holds it, so it travels beside them.
    guide: of a job that has one; its frames are then the sources of the clips, all of it in RGB.
    """

    layout: str
    color: Color
    time_base: Fraction
    chunk: int
    device: str
    guide: GuideVideo | None = None
    alpha: bool = False
    turn: Turn = NO_TURN


def clips_of(frames: Iterable[Decoded], pictures: Pictures, shot: Callable[[int], int]) -> Iterator[Clip]:
    """Frames as clips of at most one chunk and of one shot; shot(pts) is the number of the shot that a frame is in.

    A frame whose guide is missing is a shot of its own: it is guided by itself, and holds nothing, nor is it held.
    """
    reformatters = VideoReformatter(), VideoReformatter()  # each keeps what it needs for one format
    pending: list[_Picture] = []
    running, breaks, was_alone = 0, 0, False
    for decoded in frames:
        alone = isinstance(decoded, Guided) and decoded.guide is None
        breaks += alone or was_alone
        was_alone = alone
        here = shot(decoded.pts) + breaks
        if pending and (here != running or len(pending) >= pictures.chunk):
            yield _clip(pending, running, pictures)
            pending = []
        running = here
        pending.append(_picture(decoded, pictures, *reformatters))
    if pending:
        yield _clip(pending, running, pictures)


class _Picture(NamedTuple):
    """A frame as tensors: (C,h,w), its chroma if it is YUV, and its guide (3,h',w') if there is one."""

    pts: int
    frame: Tensor
    chroma: Tensor | None
    guide: Tensor | None
    alpha: Tensor | None = None


def _picture(decoded: Decoded, pictures: Pictures, reformatter: VideoReformatter, guides: VideoReformatter) -> _Picture:
    color = pictures.color
    if pictures.layout:
        layout = LAYOUTS[pictures.layout]
        planes = _like_the_first(decoded, layout, pictures, reformatter)
        alpha = plane_to_alpha(planes, layout) if pictures.alpha else None
        return _Picture(decoded.pts, *planes_to_yuv(planes, layout, full_range=color.full_range), None, alpha)
    layout = layout_of(decoded.frame.format.name)
    planes = _planes(decoded, layout, pictures, reformatter)
    frame = turned(_rgb(planes, layout, own_color(decoded.stated, color)), pictures.turn)
    alpha = turned(plane_to_alpha(planes, layout), pictures.turn) if pictures.alpha else None
    if pictures.guide is None or not isinstance(decoded, Guided):
        return _Picture(decoded.pts, frame, None, None, alpha)
    if decoded.guide is None:
        guide = resize(frame[None], (pictures.guide.height, pictures.guide.width), "bicubic")[0]
    else:
        layout = layout_of(decoded.guide.frame.format.name)
        planes = _planes(decoded.guide, layout, pictures, guides)
        guide = _rgb(planes, layout, own_color(decoded.guide.stated, pictures.guide.color))
    return _Picture(decoded.pts, frame, None, guide, alpha)


def _like_the_first(
    decoded: Decoded, layout: PixelLayout, pictures: Pictures, reformatter: VideoReformatter
) -> list[Tensor]:
    """Planes of a frame in a layout of YUV and the colour of the first one, whatever its own are."""
    color, own = pictures.color, own_color(decoded.stated, pictures.color)
    its = layout_of(decoded.frame.format.name)
    if own == color and not its.rgb:
        return _planes(decoded, layout, pictures, reformatter)
    planes = _planes(decoded, its, pictures, reformatter)
    made = rgb_to_planes(
        _rgb(planes, its, own), layout, matrix=color.matrix, full_range=color.full_range, siting=color.siting
    )
    return [*made, alpha_to_plane(plane_to_alpha(planes, its), layout)] if layout.alpha else made


def _rgb(planes: list[Tensor], layout: PixelLayout, color: Color) -> Tensor:
    return planes_to_rgb(
        planes, layout, matrix=color.matrix, full_range=color.full_range, siting=color.siting
    )  # (3,h,w)


def _planes(decoded: Decoded, layout: PixelLayout, pictures: Pictures, reformatter: VideoReformatter) -> list[Tensor]:
    planes = [torch.from_numpy(plane) for plane in frame_planes(decoded.frame, layout, reformatter)]
    if torch.device(pictures.device).type != "cuda":
        return [plane.to(pictures.device) for plane in planes]
    # From memory that stays in its place the GPU fetches by itself, while this thread goes on.
    return [plane.pin_memory().to(pictures.device, non_blocking=True) for plane in planes]


def _clip(pending: list[_Picture], shot: int, pictures: Pictures) -> Clip:
    frames = _stacked([picture.frame for picture in pending])  # (T,C,h,w)
    chroma = [picture.chroma for picture in pending if picture.chroma is not None]
    alphas = [picture.alpha for picture in pending if picture.alpha is not None]
    guides = [picture.guide for picture in pending if picture.guide is not None]
    return Clip(
        frames=frames,
        source=_stacked(guides) if guides else frames,
        pts=tuple(picture.pts for picture in pending),
        time_base=pictures.time_base,
        shot=shot,
        color=pictures.color,
        layout=LAYOUTS[pictures.layout] if pictures.layout else None,
        chroma=_stacked(chroma) if chroma else None,
        alpha=_stacked(alphas) if alphas else None,
    )


def _stacked(tensors: list[Tensor]) -> Tensor:
    return tensors[0][None] if len(tensors) == 1 else torch.stack(tensors)  # large frames travel alone, without a copy


def planes_of(clip: Clip, index: int, layout: PixelLayout, color: Color) -> list[Tensor]:
    """The planes to encode of one frame of a clip, in the output's layout and colour."""
    planes = _colour_planes(clip, index, layout, color)
    if layout.alpha:
        opaque = torch.ones_like(clip.frames[index, :1])
        planes.append(alpha_to_plane(opaque if clip.alpha is None else clip.alpha[index], layout))
    return planes


def on_host(pictures: Iterable[tuple[list[Tensor], int]], device: str) -> Iterator[tuple[list[Plane], int]]:
    """Finished planes and their pts, as arrays.

    From a GPU they come over on a stream of their own, one picture behind, while the next one is computed.
    """
    if torch.device(device).type != "cuda":
        for planes, pts in pictures:
            yield [plane.cpu().numpy() for plane in planes], pts
        return
    copying = torch.cuda.Stream(device)
    on_its_way: tuple[list[Tensor], int, torch.cuda.Event] | None = None
    for planes, pts in pictures:
        copying.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(copying):
            hosts = [torch.empty(plane.shape, dtype=plane.dtype, pin_memory=True) for plane in planes]
            for host, plane in zip(hosts, planes, strict=True):
                host.copy_(plane, non_blocking=True)
                plane.record_stream(copying)  # its memory is not given away before
            arrived = torch.cuda.Event()
            arrived.record(copying)
        if on_its_way is not None:
            yield _arrived(*on_its_way)
        on_its_way = hosts, pts, arrived
    if on_its_way is not None:
        yield _arrived(*on_its_way)


def _arrived(planes: list[Tensor], pts: int, arrived: torch.cuda.Event) -> tuple[list[Plane], int]:
    arrived.synchronize()
    return [plane.numpy() for plane in planes], pts


def _colour_planes(clip: Clip, index: int, layout: PixelLayout, color: Color) -> list[Tensor]:
    if clip.layout is None:
        return rgb_to_planes(
            clip.frames[index], layout, matrix=color.matrix, full_range=color.full_range, siting=color.siting
        )
    chroma = None if clip.chroma is None else clip.chroma[index]
    return yuv_to_planes(clip.frames[index], chroma, layout, full_range=color.full_range)
