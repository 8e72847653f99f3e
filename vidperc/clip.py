"""Clip: consecutive frames of one shot on their way through a pipeline, and Motion: how they move."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from vidperc.ops.layout import PixelLayout


@dataclass(frozen=True, kw_only=True)
class Color:
    """How numbers stand for colour in a video; the codes of ITU-T H.273, as containers write them.

    matrix: 1 BT.709, 5 and 6 BT.601, 9 BT.2020 non-constant luminance, 0 RGB; others as vidperc.ops.matrices has them.
    full_range: codes use all values; False means limited ("TV") range.
    primaries, transfer: carried along; 2 means unspecified.
    siting: where subsampled chroma sits: 0 left, 1 in the middle, 2 top left, 3 top.
    guessed: the names of what the source did not say and we assumed.
    """

    matrix: int = 1
    full_range: bool = False
    primaries: int = 2
    transfer: int = 2
    siting: int = 0
    guessed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How frames move: where each pixel of a frame was in the frame before.

    flow: (T,2,h,w) float32, across and then down, in pixels of its own size, from frame t back to frame t-1: the place
        p of frame t shows what was at p + flow(p) in frame t-1. So `warp(frame t-1, flow)` looks like frame t.
    visible: (T,1,h,w) float32, 1 where frame t-1 shows the same surface there, else 0.
    Both are zero for the first frame of a shot, which has nothing before it: none of it is visible.

    Raises ValueError when shapes do not agree.
    """

    flow: Tensor
    visible: Tensor

    def __post_init__(self) -> None:
        if self.flow.ndim != 4 or self.flow.shape[1] != 2:
            raise ValueError(f"Motion.flow: got shape {tuple(self.flow.shape)}, wanted (T,2,h,w)")
        wanted = (self.flow.shape[0], 1, *self.flow.shape[2:])
        if tuple(self.visible.shape) != wanted:
            raise ValueError(f"Motion.visible: got shape {tuple(self.visible.shape)}, wanted {wanted}")

    def __len__(self) -> int:
        return self.flow.shape[0]

    def __repr__(self) -> str:
        return f"Motion({'x'.join(map(str, self.flow.shape))})"

    def part(self, start: int, stop: int) -> Motion:
        """That of the frames start to stop - 1, as views."""
        return Motion(flow=self.flow[start:stop], visible=self.visible[start:stop])

    def at(self, height: int, width: int) -> Motion:
        """The same motion at another size: resized, its vectors in pixels of that size.

        Visible is what is wholly so: where the resized flow mixes in a pixel that is hidden, the mask is 0.
        """
        from vidperc.ops.flow_size import resize_flow, resize_mask

        size = height, width
        return Motion(flow=resize_flow(self.flow, size), visible=resize_mask(self.visible, size))


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Consecutive frames of one shot.

    frames: (T,3,H,W) float32 RGB, nominal [0,1]; values outside are kept and clamped only at the output.
        With a layout: (T,1,H,W) luma, nominal [0,1].
    source: (T,C,h,w) the frames as decoded, for guidance.
    pts: T presentation times, in units of time_base seconds, strictly increasing.
    shot: counts up at every cut; a stage with a state forgets it when this changes.
    color: of the source.
    layout: None for RGB. Else the frames are still YUV, as stages take them that need no more than luma: the layout
        says how chroma is subsampled and where it sits.
    alpha: (T,1,H,W) float32 in [0,1], how opaque the frames are, straight: colours are not multiplied by it. None
        where they have none, or the output cannot hold it.
    chroma: (T,2,H',W') float32 Cb and Cr, nominal [-0.5,0.5], as large as the layout stores them; None elsewhere.
    motion: of the source, T frames of it, at a size of its own; None until a stage provides it.

    Raises ValueError when shapes and counts do not agree.
    """

    frames: Tensor
    source: Tensor
    pts: tuple[int, ...]
    time_base: Fraction
    shot: int = 0
    color: Color = Color()
    layout: PixelLayout | None = None
    chroma: Tensor | None = None
    motion: Motion | None = None
    alpha: Tensor | None = None

    def __post_init__(self) -> None:
        channels = 3 if self.layout is None else 1
        if self.frames.ndim != 4 or self.frames.shape[1] != channels:
            raise ValueError(f"Clip.frames: got shape {tuple(self.frames.shape)}, wanted (T,{channels},H,W)")
        if self.chroma is not None:
            height, width = self.frames.shape[-2:]
            wanted = None if self.layout is None else (len(self.pts), 2, *self.layout.plane_size(1, width, height))
            if tuple(self.chroma.shape) != wanted:
                raise ValueError(f"Clip.chroma: got shape {tuple(self.chroma.shape)}, wanted {wanted}")
        if self.alpha is not None and self.alpha.shape != (len(self.pts), 1, *self.frames.shape[-2:]):
            wanted = (len(self.pts), 1, *self.frames.shape[-2:])
            raise ValueError(f"Clip.alpha: got shape {tuple(self.alpha.shape)}, wanted {wanted}")
        if not len(self.pts) == self.frames.shape[0] == self.source.shape[0]:
            raise ValueError(f"Clip: {len(self.pts)} pts, {self.frames.shape[0]} frames, {self.source.shape[0]} source")
        if self.motion is not None and len(self.motion) != len(self.pts):
            raise ValueError(f"Clip.motion: got that of {len(self.motion)} frames, wanted that of {len(self.pts)}")

    def __len__(self) -> int:
        return len(self.pts)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.frames.shape))
        return f"Clip({shape}, shot {self.shot}, pts {self.pts[0]}..{self.pts[-1]} of {self.time_base} s)"

    def part(self, start: int, stop: int) -> Clip:
        """The frames start to stop - 1, as views."""
        chroma = None if self.chroma is None else self.chroma[start:stop]
        motion = None if self.motion is None else self.motion.part(start, stop)
        alpha = None if self.alpha is None else self.alpha[start:stop]
        frames, source = self.frames[start:stop], self.source[start:stop]
        return replace(
            self, frames=frames, source=source, pts=self.pts[start:stop], chroma=chroma, motion=motion, alpha=alpha
        )

    def with_frames(self, frames: Tensor, chroma: Tensor | None = None) -> Clip:
        """The same clip with another picture: (T,C,H,W) for the same T and C, and its chroma where it has some.

        Source and motion stay, for they are not the picture's. Alpha is resampled to the size of the frames.
        """
        alpha = self.alpha
        if alpha is not None and alpha.shape[-2:] != frames.shape[-2:]:
            from vidperc.ops.resize import resize

            alpha = resize(alpha, (frames.shape[-2], frames.shape[-1]), "bicubic").clamp_(0, 1)
        return replace(self, frames=frames, chroma=chroma, alpha=alpha)

    def singles(self) -> Iterator[Clip]:
        """Each frame as a clip of its own."""
        for index in range(len(self)):
            yield self.part(index, index + 1)
