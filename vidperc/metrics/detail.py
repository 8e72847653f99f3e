"""How much fine detail a picture has: what tells a blurred video from a steady one."""

from __future__ import annotations

from torch import Tensor

from vidperc.ops.color import rgb_luma


def detail(frame: Tensor) -> float:
    """The mean length of the gradient of luma, in codes of 255 per pixel; of RGB (3,H,W) float32 in [0,1].

    The gradient is that of neighbours, to the right and below, so that the finest detail counts in full. Noise is
    detail, too. Zero for a picture of one pixel in a row or column.
    """
    luma = 255 * rgb_luma(frame.clamp(0, 1))[0]  # (H, W)
    across = (luma[:-1, 1:] - luma[:-1, :-1]).square_()
    down = (luma[1:, :-1] - luma[:-1, :-1]).square_()
    return float(across.add_(down).sqrt_().mean()) if across.numel() else 0.0
