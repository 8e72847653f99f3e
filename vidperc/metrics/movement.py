"""How much a picture changes from frame to frame, coarsely: what tells a frozen video from a steady one."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from vidperc.ops.color import rgb_luma

CELLS = 48


def movement(before: Tensor, now: Tensor) -> float:
    """The root of the mean squared change of luma in codes of 255, each averaged over the cells of a 48x48 grid first.

    before, now: (3,H,W) float32 RGB in [0,1]. Noise, grain and fine flicker average away in the cells; what moves, or
    changes its brightness, does not, and a small thing that moves counts for more than a little noise everywhere.
    """
    then, here = (_coarse(frame) for frame in (before, now))
    return float(255 * (here - then).square_().mean().sqrt())


def _coarse(frame: Tensor) -> Tensor:
    height, width = frame.shape[-2:]
    return F.adaptive_avg_pool2d(rgb_luma(frame.clamp(0, 1)[None]), (min(CELLS, height), min(CELLS, width)))
