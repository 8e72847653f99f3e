"""Stages for proving the laws: with a state, with neighbours, and one whose picture shows the motion it is given."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch

from vidperc.clip import Clip
from vidperc.placement import Placement
from vidperc.stages.stage import PerFrame, Stream


@dataclass(frozen=True, kw_only=True)
class Blend:
    """out_t = keep * out_{t-1} + (1 - keep) * in_t, started afresh at every cut."""

    kind: Literal["blend"] = "blend"
    keep: float = 0.8
    past: int = 0
    future: int = 0
    needs: frozenset[str] = frozenset()
    provides: frozenset[str] = frozenset()
    takes_luma: bool = False

    @property
    def settle(self) -> int:
        """Frames until what came before weighs less than 1/256."""
        return math.ceil(math.log(1 / 256) / math.log(self.keep))

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        return width, height

    def open(self, placement: Placement) -> Stream:
        def stream(clips: Iterator[Clip]) -> Iterator[Clip]:
            state: torch.Tensor | None = None
            shot = -1
            for clip in clips:
                frames = []
                for frame in clip.frames:
                    if state is None or clip.shot != shot:
                        state, shot = frame, clip.shot
                    else:
                        state = self.keep * state + (1 - self.keep) * frame
                    frames.append(state)
                yield clip.with_frames(torch.stack(frames))

        return stream


@dataclass(frozen=True, kw_only=True)
class Average:
    """The mean of a frame and its neighbours, two before and one after, inside the shot."""

    kind: Literal["average"] = "average"
    past: int = 2
    future: int = 1
    settle: int = 0
    needs: frozenset[str] = frozenset()
    provides: frozenset[str] = frozenset()
    takes_luma: bool = False

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        return width, height

    def open(self, placement: Placement) -> Stream:
        from vidperc.stages.stage import windowed

        return windowed(lambda window, _: window.mean(dim=0, keepdim=True), self.past, self.future)


@dataclass(frozen=True, kw_only=True)
class Painted(PerFrame):
    """Every frame with its motion painted over it, so that the motion is in the output."""

    kind: Literal["painted"] = "painted"
    needs: frozenset[str] = frozenset({"motion"})
    takes_luma: bool = True

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        return width, height

    def open(self, placement: Placement) -> Stream:
        def stream(clips: Iterator[Clip]) -> Iterator[Clip]:
            for clip in clips:
                assert clip.motion is not None
                motion = clip.motion.at(*clip.frames.shape[-2:])
                paint = 0.2 * motion.visible + 0.05 * motion.flow[:, :1] - 0.03 * motion.flow[:, 1:]
                yield clip.with_frames(0.5 * clip.frames + paint, clip.chroma)

        return stream
