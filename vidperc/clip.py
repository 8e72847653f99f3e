"""Clip: consecutive frames of one shot on their way through a pipeline."""

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

    matrix: 1 BT.709, 5 and 6 BT.601, 9 BT.2020 non-constant luminance, 0 RGB.
    full_range: codes use all values; False means limited ("TV") range.
    primaries, transfer: carried along; 2 means unspecified.
    guessed: the names of what the source did not say and we assumed.
    """

    matrix: int = 1
    full_range: bool = False
    primaries: int = 2
    transfer: int = 2
    guessed: tuple[str, ...] = ()


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
    chroma: (T,2,H',W') float32 Cb and Cr, nominal [-0.5,0.5], as large as the layout stores them; None elsewhere.

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

    def __post_init__(self) -> None:
        channels = 3 if self.layout is None else 1
        if self.frames.ndim != 4 or self.frames.shape[1] != channels:
            raise ValueError(f"Clip.frames: got shape {tuple(self.frames.shape)}, wanted (T,{channels},H,W)")
        if self.chroma is not None:
            height, width = self.frames.shape[-2:]
            wanted = None if self.layout is None else (len(self.pts), 2, *self.layout.plane_size(1, width, height))
            if tuple(self.chroma.shape) != wanted:
                raise ValueError(f"Clip.chroma: got shape {tuple(self.chroma.shape)}, wanted {wanted}")
        if not len(self.pts) == self.frames.shape[0] == self.source.shape[0]:
            raise ValueError(f"Clip: {len(self.pts)} pts, {self.frames.shape[0]} frames, {self.source.shape[0]} source")

    def __len__(self) -> int:
        return len(self.pts)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.frames.shape))
        return f"Clip({shape}, shot {self.shot}, pts {self.pts[0]}..{self.pts[-1]} of {self.time_base} s)"

    def part(self, start: int, stop: int) -> Clip:
        """The frames start to stop - 1, as views."""
        chroma = None if self.chroma is None else self.chroma[start:stop]
        frames, source = self.frames[start:stop], self.source[start:stop]
        return replace(self, frames=frames, source=source, pts=self.pts[start:stop], chroma=chroma)

    def with_frames(self, frames: Tensor, chroma: Tensor | None = None) -> Clip:
        """The same clip with another picture: (T,C,H,W) for the same T and C, and its chroma where it has some."""
        return replace(self, frames=frames, chroma=chroma)

    def singles(self) -> Iterator[Clip]:
        """Each frame as a clip of its own."""
        for index in range(len(self)):
            yield self.part(index, index + 1)
