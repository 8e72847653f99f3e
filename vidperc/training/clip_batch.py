"""ClipBatch: what a step of training is given, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vidperc.clip import Motion


@dataclass(frozen=True)
class ClipBatch:
    """Clips of N short runs of T frames.

    small: (N,T,3,h,w) float32 RGB in [0,1], what a network is given. large: (N,T,3,h*s,w*s), what it shall make.
    flow: (N,T,2,h,w) and visible: (N,T,1,h,w) of the small frames, as `Motion` has them; zero for the first of a clip.
    number: of the first of them in the whole training, for what else is left to chance. ahead: so many of the first
    frames are not learnt from; a recurrent network runs through them, to be where a long run brings it.
    """

    small: Tensor
    large: Tensor
    flow: Tensor
    visible: Tensor
    number: int = 0
    ahead: int = 0

    @staticmethod
    def of_stills(small: Tensor, large: Tensor, *, number: int = 0) -> ClipBatch:
        """Pictures (N,3,h,w) and (N,3,h*s,w*s) as clips of one frame, which do not move."""
        count, _, height, width = small.shape
        flow = torch.zeros(count, 1, 2, height, width)
        return ClipBatch(small[:, None], large[:, None], flow, flow[:, :, :1], number)

    def learnt(self) -> ClipBatch:
        """The frames that are learnt from, alone."""
        parts = (part[:, self.ahead :] for part in (self.small, self.large, self.flow, self.visible))
        return ClipBatch(*parts, number=self.number)

    @property
    def scale(self) -> int:
        """Output side over input side."""
        return self.large.shape[-1] // self.small.shape[-1]

    def motion(self) -> tuple[Motion, ...]:
        """The motion of every clip."""
        return tuple(Motion(flow=flow, visible=seen) for flow, seen in zip(self.flow, self.visible, strict=True))
