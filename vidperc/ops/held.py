"""How much of the detail of the frame before still belongs where the source moved it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from vidperc.ops.flow_size import resize_flow, resize_mask
from vidperc.ops.warp import warp

# How much less energy than the held detail the new one may have: detail that comes and goes does, a ghost far less.
_WEAKER = 16

# Squared gradient of detail below which nobody sees it: half a code of 8 bits, per pixel.
_UNSEEN = (0.5 / 255) ** 2


def kept_share(
    source: Tensor,
    before: Tensor,
    flow: Tensor,
    visible: Tensor,
    detail: Tensor,
    moved: Tensor,
    *,
    most: float,
    tolerance: float,
) -> Tensor:
    """The share of the moved detail that stays, (N,1,H,W), 0 to `most`, and 0 where hidden.

    source, before: (N,C,h,w), the source now and a frame ago. flow: (N,2,h',w'), visible: (N,1,h',w'), float32, as
    `vidperc.clip.Motion` has them, at any size. detail: (N,C,H,W), the new one; moved: that of the frame before where
    the source is now. tolerance: as the stage `steady` has it. Without gradients.

    Source: the weight exp(-|I_t - warp(I_{t-1})|^2) after W.-S. Lai et al., "Learning Blind Video Temporal
    Consistency", 2018; that detail is held only where there is some is ours.
    """
    size = detail.shape[-2], detail.shape[-1]
    there = resize_flow(flow, (source.shape[-2], source.shape[-1]))
    same = _sameness(source, warp(before, there), tolerance)
    share = F.interpolate(same, size=size, mode="bilinear", align_corners=False)
    return share.mul_(resize_mask(visible, size)).mul_(most).mul_(_still_there(detail, moved))


def _sameness(source: Tensor, moved: Tensor, tolerance: float) -> Tensor:
    """1 where the source looks as it did before, towards 0 where it changed, (N,1,h,w)."""
    changed = (source - moved).square_().mean(dim=1, keepdim=True)
    # Over 5x5 pixels: noise averages out, and no single pixel is alike by chance.
    changed = F.avg_pool2d(F.pad(changed, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
    return changed.mul_(-((255 / tolerance) ** 2)).exp_()


def _still_there(detail: Tensor, moved: Tensor) -> Tensor:
    """1 where the new detail (N,C,H,W) is nearly as strong as the held one, towards 0 where it is weaker, (N,1,H,W).

    By their energies over 8x8 pixels: what flickers keeps some of its own, a ghost has it alone.
    """
    new, old = (_energy(planes) for planes in (detail, moved))
    share = new.mul_(_WEAKER).add_(_UNSEEN).div_(old.add_(_UNSEEN)).clamp_(max=1).square_()
    return F.interpolate(share, size=detail.shape[-2:], mode="bilinear", align_corners=False)


def _energy(planes: Tensor) -> Tensor:
    """The mean squared gradient of planes (N,C,H,W) about every fourth pixel, (N,1,~H/4,~W/4)."""
    across = F.pad(planes.diff(dim=3), (0, 1)).square_()
    down = F.pad(planes.diff(dim=2), (0, 0, 0, 1)).square_()
    squared = across.add_(down).mean(dim=1, keepdim=True)
    return F.avg_pool2d(squared, 8, stride=4, padding=2, ceil_mode=True, count_include_pad=False)
