"""Fine detail that comes and goes along the motion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from vidperc.metrics.warping_error import along
from vidperc.ops.color import rgb_luma
from vidperc.ops.warp import warp

if TYPE_CHECKING:
    from vidperc.clip import Motion

SIGMA_PX = 2.0


def flicker(before: Tensor, now: Tensor, motion: Motion) -> float | None:
    """The mean absolute change of luma along the motion, less its local mean: in codes of 255, over what is visible.

    before, now: (3,H,W) float32 RGB in [0,1]. motion: of one frame of the source, of any size.
    The local mean, by a Gaussian of 2 px, is of visible pixels alone; it takes what changes brightness evenly, fades
    and exposure, out of the figure. The frame before is moved by bicubic sampling: bilinear would blur it, and the
    missing sharpness would count as flicker. None where nothing is visible.
    """
    flow, visible = along(motion, now)
    pixels = float(visible.sum())
    if pixels == 0:
        return None
    then, here = (rgb_luma(frame.clamp(0, 1)[None]) for frame in (before, now))
    change = (here - warp(then, flow, mode="bicubic")) * visible
    local = _blur(change) / _blur(visible).clamp_(min=1e-6)
    return float(255 * ((change - local) * visible).abs_().sum() / pixels)


def _blur(planes: Tensor) -> Tensor:
    """(1,1,H,W) blurred by the Gaussian, zero beyond the border."""
    reach = int(3 * SIGMA_PX)
    place = torch.arange(-reach, reach + 1, dtype=torch.float32, device=planes.device)
    weights = torch.exp(-0.5 * (place / SIGMA_PX).square())
    weights = weights / weights.sum()
    rows = F.conv2d(planes, weights.view(1, 1, -1, 1), padding=(reach, 0))
    return F.conv2d(rows, weights.view(1, 1, 1, -1), padding=(0, reach))
