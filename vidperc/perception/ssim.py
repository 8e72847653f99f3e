"""SSIM and MS-SSIM, the one place where they are done; which picture they are taken of is in the functions' names.

One pair of pictures has an SSIM of .63 or of .76 by the convention. Here: an 11x11 Gaussian of 1.5 px, K = (.01, .03),
the mean over windows that lie inside the picture, values in [0,1]. `ssim` takes whatever channels it is given, each
alone, and means over them; of RGB pictures, `ssim_rgb`, `ssim_grey` and `ssim_y601` say what they take.
Everything is float32 at least, under autocast too; float64 is kept.
Source: Z. Wang, A. Bovik, H. Sheikh, E. Simoncelli, "Image quality assessment: from error visibility to structural
similarity", 2004 (doi:10.1109/TIP.2003.819861); Z. Wang, E. Simoncelli, A. Bovik, "Multiscale structural similarity for
image quality assessment", 2003 (doi:10.1109/ACSSC.2003.1292216).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vidperc.ops.color import rgb_luma

WINDOW = 11  # pixels; the least that a side may have
MS_SMALLEST = 161  # four halvings leave a side that still holds the window
_SIGMA_PX = 1.5
_C1, _C2 = 0.01**2, 0.03**2
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_TOLERANCE = 0.5  # around [0,1]; networks overshoot, but no picture in codes or in [-1,1] passes for one


def ssim(one: Tensor, other: Tensor, *, downsample: bool = False) -> Tensor:
    """SSIM of pairs of pictures (N,C,H,W) in [0,1]: (N,), the mean over channels and windows; 1 for equal ones.

    downsample: first shrink both by a box so that the short side comes near to 256, as the program of the authors does.
    Raises ValueError, begun with "ssim", for other shapes or types, sides below 11 px (after shrinking) and values that
    are not numbers or more than 0.5 outside [0,1].
    """
    _check("ssim", one, other, smallest=WINDOW)
    with torch.autocast(one.device.type, enabled=False):
        one, other = _wide(one), _wide(other)
        factor = max(1, round(min(one.shape[-2:]) / 256)) if downsample else 1
        if factor > 1:
            one, other = F.avg_pool2d(one, factor), F.avg_pool2d(other, factor)
        return _luminance_and_structure(one, other)[0].mean(dim=(1, 2, 3))


def ssim_map(one: Tensor, other: Tensor) -> Tensor:
    """SSIM of each window: (N,C,H-10,W-10) of pictures (N,C,H,W) in [0,1]; otherwise as `ssim`."""
    _check("ssim", one, other, smallest=WINDOW)
    with torch.autocast(one.device.type, enabled=False):
        return _luminance_and_structure(_wide(one), _wide(other))[0]


def ms_ssim(one: Tensor, other: Tensor) -> Tensor:
    """MS-SSIM over five scales, of pairs of pictures (N,C,H,W) in [0,1]: (N,), the mean over channels.

    From scale to scale pictures shrink by 2x2 boxes; an odd row or column at the end is a box of its own, as in the
    authors' program. A channel whose structure is opposite at some scale (a negative mean) counts as 0, with a gradient
    of 0.
    Raises ValueError, begun with "ms-ssim", as `ssim` does, and for sides up to 160 px.
    """
    _check("ms-ssim", one, other, smallest=MS_SMALLEST)
    with torch.autocast(one.device.type, enabled=False):
        one, other = _wide(one), _wide(other)
        total = one.new_ones(one.shape[:2])  # (N, C)
        for place, weight in enumerate(_SCALE_WEIGHTS):
            whole, structure = (part.mean(dim=(2, 3)) for part in _luminance_and_structure(one, other))
            at_scale = whole if place == len(_SCALE_WEIGHTS) - 1 else structure
            # The root's gradient at 0 is infinite, and times zero no number: zeros never come under it.
            positive = at_scale > 0
            rooted = torch.where(positive, at_scale, 1).pow(weight)
            total = total * torch.where(positive, rooted, 0)
            # Rounded up, for 161 px halved four times must leave the 11 of the window.
            one, other = (F.avg_pool2d(picture, 2, ceil_mode=True) for picture in (one, other))
        return total.mean(dim=1)


def ssim_rgb(one: Tensor, other: Tensor, *, downsample: bool = False) -> Tensor:
    """`ssim@rgb`: the mean of those of R, G and B, of 8-bit codes, for RGB (N,3,H,W) in [0,1]; no gradients."""
    return ssim(_rounded(one), _rounded(other), downsample=downsample)


def ssim_grey(one: Tensor, other: Tensor, *, downsample: bool = False) -> Tensor:
    """`ssim@grey`: of 8-bit grey, BT.601 luma in full range, for RGB (N,3,H,W) in [0,1]; no gradients.

    What the papers on picture quality measure; codes are rounded before and after they are mixed, as rgb2gray does.
    """
    return ssim(*(_rounded(rgb_luma(_rounded(rgb))) for rgb in (one, other)), downsample=downsample)


def ssim_y601(one: Tensor, other: Tensor, *, downsample: bool = False) -> Tensor:
    """`ssim@y601`: of BT.601 luma in limited range, not rounded, of 8-bit RGB (N,3,H,W) in [0,1]; no gradients.

    What the papers on super-resolution measure, as `psnr@y601`; without the border that they crop, cut it off before.
    """
    return ssim(*((16 + 219 * rgb_luma(_rounded(rgb))) / 255 for rgb in (one, other)), downsample=downsample)


def _rounded(values: Tensor) -> Tensor:
    return values.detach().clamp(0, 1).mul_(255).round_().div_(255)


def _luminance_and_structure(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM of every window, and its contrast and structure alone: both (N,C,H-10,W-10)."""
    # Both variances are needed as their sum only: four pictures to be averaged, not five.
    means = _averaged(torch.stack([one, other, one.square() + other.square(), one * other]))
    mean_one, mean_other, squares, products = means
    mean_product = mean_one * mean_other
    mean_squares = mean_one.square() + mean_other.square()
    structure = (2 * (products - mean_product) + _C2) / (squares - mean_squares + _C2)
    return (2 * mean_product + _C1) / (mean_squares + _C1) * structure, structure


def _averaged(pictures: Tensor) -> Tensor:
    """Every window's Gaussian mean, (...,H,W) to (...,H-10,W-10)."""
    height, width = pictures.shape[-2:]
    kernel = _gaussian(pictures)
    flat = pictures.reshape(-1, 1, height, width)
    flat = F.conv2d(F.conv2d(flat, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    return flat.reshape(*pictures.shape[:-2], *flat.shape[-2:])


def _gaussian(like: Tensor) -> Tensor:
    weights = [math.exp(-0.5 * (place / _SIGMA_PX) ** 2) for place in range(-(WINDOW // 2), WINDOW // 2 + 1)]
    return like.new_tensor([weight / sum(weights) for weight in weights])


def _wide(picture: Tensor) -> Tensor:
    return picture if picture.dtype == torch.float64 else picture.float()


def _check(name: str, one: Tensor, other: Tensor, *, smallest: int) -> None:
    for picture in (one, other):
        shape = tuple(picture.shape)
        if picture.ndim != 4 or not picture.is_floating_point() or 0 in shape:
            raise ValueError(f"{name}: got {shape} {picture.dtype}, wanted (N,C,H,W) floats")
        if min(shape[2:]) < smallest:
            raise ValueError(f"{name}: got {shape[3]}x{shape[2]}, wanted sides of at least {smallest} px")
        low, high = (float(bound) for bound in picture.detach().aminmax())
        if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
            raise ValueError(f"{name}: got values from {low:g} to {high:g}, wanted [0,1]")
    if one.shape != other.shape:
        raise ValueError(f"{name}: got {tuple(one.shape)} and {tuple(other.shape)}, wanted equal shapes")
