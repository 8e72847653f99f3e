"""PSNR, the one place where it is done; the conventions are in the names of the functions.

Both are of 8-bit codes, as the papers take it from PNG files: values are clamped to [0,1], times 255, rounded. A figure
belongs to a frame, and that of a video is the mean over its frames, never the PSNR of a mean error.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vidperc.ops.color import rgb_luma

# Stands for equal pictures, whose PSNR is infinite, so that a mean over frames stays a number.
EQUAL_DB = 100.0


def psnr(one: Tensor, other: Tensor, *, crop: int = 0) -> Tensor:
    """In dB, of codes (N,C,H,W) whose largest is 255: (N,) float64, infinite for equal pictures.

    crop: pixels left out at each border. Raises ValueError for shapes that differ, or when nothing is left.
    """
    if one.ndim != 4 or one.shape != other.shape:
        raise ValueError(f"psnr: got {tuple(one.shape)} and {tuple(other.shape)}, wanted two equal (N,C,H,W)")
    if min(one.shape[-2:]) <= 2 * crop:
        raise ValueError(f"psnr: crop {crop} leaves nothing of {one.shape[-1]}x{one.shape[-2]}")
    inside = slice(crop, -crop or None)
    error = (one - other)[..., inside, inside].double().square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(255**2 / error)


def psnr_rgb(one: Tensor, other: Tensor, *, crop: int = 0) -> Tensor:
    """`psnr@rgb`: of R, G and B together, for RGB (N,3,H,W) in [0,1]: (N,) dB, at most 100 (equal pictures)."""
    return psnr(rgb_codes(one), rgb_codes(other), crop=crop).clamp(max=EQUAL_DB)


def psnr_y601(one: Tensor, other: Tensor, *, crop: int = 0) -> Tensor:
    """`psnr@y601`: of limited-range BT.601 luma, for RGB (N,3,H,W) in [0,1]: (N,) dB, at most 100 (equal pictures).

    What super-resolution papers call Y-PSNR, with as many pixels cropped as the scale. The luma is that of the rounded
    codes and not rounded itself, whatever the matrix of the video.
    """
    return psnr(limited_luma(one), limited_luma(other), crop=crop).clamp(max=EQUAL_DB)


def limited_luma(rgb: Tensor) -> Tensor:
    """Limited-range BT.601 luma in codes from 16 to 235, of the rounded codes of RGB (N,3,H,W) in [0,1]: (N,1,H,W)."""
    return 16 + 219 / 255 * rgb_luma(rgb_codes(rgb))


def rgb_codes(rgb: Tensor) -> Tensor:
    """RGB in [0,1] as the whole numbers from 0 to 255 that 8 bits hold, float32; any shape."""
    return rgb.clamp(0, 1).mul_(255).round_()
