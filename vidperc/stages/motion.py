"""The stage that finds how the source moves, for the stages after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import tee
from typing import Literal

from vidperc.clip import Clip
from vidperc.motion.table import (
    DEFAULT_ESTIMATOR,
    ESTIMATORS,
    EstimatorName,
    Preset,
    check_size,
    held_bytes,
    working_size,
)
from vidperc.placement import Placement
from vidperc.stages.stage import Stream


@dataclass(frozen=True, kw_only=True)
class FindMotion:
    """Find how the source frames move, and which of their pixels the frame before shows, too; the picture stays.

    estimator: dis, farneback, raft-small or raft-large; the latter two are for GPUs.
    preset: of dis: ultrafast, fast, balanced or medium; left out, fast.
    size: the short side in pixels that the flow is computed at; 0, or more than the source has, for that of the source.
    weights: of a RAFT: the path of its weights, .safetensors or .pth; left out, they are fetched once.
    """

    kind: Literal["motion"] = "motion"
    estimator: EstimatorName = DEFAULT_ESTIMATOR
    preset: Preset | None = None
    size: int = 0
    weights: str | None = None

    def __post_init__(self) -> None:
        card = ESTIMATORS[self.estimator]
        if self.preset is not None and not card.presets:
            raise ValueError(f"preset: got {self.preset}, but {self.estimator} has none; leave it out, or use dis")
        if self.weights is not None and not card.weights:
            raise ValueError(f"weights: got {self.weights}, but {self.estimator} has none; leave it out, or use a RAFT")
        if self.size and not card.smallest <= self.size <= 16384:
            raise ValueError(f"size: got {self.size}, wanted {card.smallest} to 16384 pixels, or 0 for the source's")

    @property
    def past(self) -> int:
        return 1

    @property
    def future(self) -> int:
        return 0

    @property
    def settle(self) -> int:
        return 0

    @property
    def needs(self) -> frozenset[str]:
        return frozenset()

    @property
    def provides(self) -> frozenset[str]:
        return frozenset({"motion"})

    @property
    def takes_luma(self) -> bool:
        return True

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        check_size(self.estimator, width, height, self.size)
        return width, height

    def held_bytes(self, width: int, height: int, chunk: int) -> int:
        """What it takes at most, for sources of this width and height and so many frames in a step."""
        wide, high = working_size(width, height, self.size)
        return held_bytes(self.estimator, wide * high, chunk)

    def open(self, placement: Placement) -> Stream:
        from vidperc.motion.estimator import open_estimator
        from vidperc.motion.find import find_motion

        estimator = open_estimator(self.estimator, preset=self.preset, weights=self.weights, device=placement.device)

        def stream(clips: Iterator[Clip]) -> Iterator[Clip]:
            ours, theirs = tee(clips)
            motions = find_motion(((clip.source, clip.shot) for clip in theirs), estimator, size=self.size)
            # In lockstep, so that tee holds one clip at most.
            for motion, clip in zip(motions, ours, strict=True):
                yield replace(clip, motion=motion)

        return stream
