"""How alike a frame and the one before it are in structure, along the motion of their source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from vidperc.metrics.warping_error import along
from vidperc.ops.color import rgb_luma
from vidperc.ops.warp import warp
from vidperc.perception.ssim import ssim_map

if TYPE_CHECKING:
    from vidperc.clip import Motion


def temporal_ssim(before: Tensor, now: Tensor, motion: Motion) -> float | None:
    """The mean SSIM of a frame and the one before it moved along, over windows that are visible throughout.

    before, now: (3,H,W) float32 RGB in [0,1], sides of at least 11 px. motion: of one frame of the source, any size.
    Of luma; the frame before is moved by bicubic sampling, since bilinear would blur it. 1 for a video that looks the
    same along its motion. None where no window is visible.
    """
    flow, visible = along(motion, now)
    then, here = (rgb_luma(frame.clamp(0, 1)[None]) for frame in (before, now))
    alike = ssim_map(here, warp(then, flow, mode="bicubic"))  # (1, 1, H-10, W-10)
    window = visible.shape[-1] - alike.shape[-1] + 1
    whole = 1 - F.max_pool2d(1 - visible, window, stride=1)
    windows = float(whole.sum())
    return float((alike * whole).sum() / windows) if windows else None
