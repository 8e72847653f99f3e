"""How an objective finds the motion that a sample comes without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vidperc.clip import Motion
from vidperc.motion.table import DEFAULT_ESTIMATOR, ESTIMATORS, EstimatorName, Preset


@dataclass(frozen=True, kw_only=True)
class MotionChoice:
    """An estimator of `vidperc.motion`.

    estimator: dis, farneback, raft-small or raft-large. preset: of dis. size: the short side in pixels that flow is
    found at, 0 for that of the frames. weights: of a RAFT, a file; left out, they are fetched.
    """

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
            raise ValueError(f"size: got {self.size}, wanted {card.smallest} to 16384 pixels, or 0 for the frames'")

    def open(self, device: str) -> Callable[[Tensor], Sequence[Motion]]:
        """Finds the motion of clips (N,T,3,h,w), float32 RGB in [0,1]: one for each, on their device.

        Raises VidpercError as `motion.estimator.open_estimator` does, and for frames that are too small.
        """
        from vidperc.motion.estimator import open_estimator
        from vidperc.motion.find import find_motion

        estimator = open_estimator(self.estimator, preset=self.preset, weights=self.weights, device=device)

        @torch.no_grad()
        def find(clips: Tensor) -> Sequence[Motion]:
            with torch.autocast(clips.device.type, enabled=False):
                return tuple(
                    find_motion(((clip, index) for index, clip in enumerate(clips)), estimator, size=self.size)
                )

        return find
