"""Clip: consecutive frames of one shot on their way through a pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


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
    source: (T,3,h,w) the frames as decoded, for guidance.
    pts: T presentation times, in units of time_base seconds, strictly increasing.
    shot: counts up at every cut; a stage with a state forgets it when this changes.
    color: of the source.

    Raises ValueError when shapes and counts do not agree.
    """

    frames: Tensor
    source: Tensor
    pts: tuple[int, ...]
    time_base: Fraction
    shot: int = 0
    color: Color = Color()

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[1] != 3:
            raise ValueError(f"Clip.frames: got shape {tuple(self.frames.shape)}, wanted (T,3,H,W)")
        if not len(self.pts) == self.frames.shape[0] == self.source.shape[0]:
            raise ValueError(f"Clip: {len(self.pts)} pts, {self.frames.shape[0]} frames, {self.source.shape[0]} source")

    def __len__(self) -> int:
        return len(self.pts)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.frames.shape))
        return f"Clip({shape}, shot {self.shot}, pts {self.pts[0]}..{self.pts[-1]} of {self.time_base} s)"

    def part(self, start: int, stop: int) -> Clip:
        """The frames start to stop - 1, as views."""
        return replace(self, frames=self.frames[start:stop], source=self.source[start:stop], pts=self.pts[start:stop])

    def with_frames(self, frames: Tensor) -> Clip:
        """The same clip with another picture: (T,3,H',W') for the same T."""
        return replace(self, frames=frames)

    def singles(self) -> Iterator[Clip]:
        """Each frame as a clip of its own."""
        for index in range(len(self)):
            yield self.part(index, index + 1)
