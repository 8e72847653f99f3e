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

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

from vidperc.ops.color import rgb_luma

WINDOW = 11  # pixels; the least that a side may have
MS_SMALLEST = 161  # four halvings leave a side that still holds the window
_SIGMA_PX = 1.5
_C1, _C2 = 0.01**2, 0.03**2
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# BT.601's weights to more digits, as the NTSC matrix gives them; .299, .587, .114 leave ties to a float's last bit.
_GREY = (0.298936021293775, 0.587043074451121, 0.114020904255103)
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
        return _means(one, other)[0].mean(dim=1)


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
            whole, structure = _means(one, other)
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
    """`ssim@grey`: of 8-bit grey, the whole codes of MATLAB's rgb2gray, for RGB (N,3,H,W) in [0,1]; no gradients.

    What the papers on picture quality measure. The grey is BT.601's luma in full range.
    """
    return ssim(*(grey_codes(rgb) / 255 for rgb in (one, other)), downsample=downsample)


def grey_codes(rgb: Tensor) -> Tensor:
    """RGB (...,3,H,W) in [0,1] to the 8-bit grey of rgb2gray, (...,1,H,W), whole numbers from 0 to 255, float."""
    red, green, blue = (rgb.detach().clamp(0, 1) * 255).round_().unbind(-3)
    return (_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue).round_().unsqueeze(-3)


def ssim_y601(one: Tensor, other: Tensor, *, downsample: bool = False) -> Tensor:
    """`ssim@y601`: of BT.601 luma in limited range, not rounded, of 8-bit RGB (N,3,H,W) in [0,1]; no gradients.

    What the papers on super-resolution measure, as `psnr@y601`; without the border that they crop, cut it off before.
    """
    return ssim(*((16 + 219 * rgb_luma(_rounded(rgb))) / 255 for rgb in (one, other)), downsample=downsample)


def _rounded(values: Tensor) -> Tensor:
    return values.detach().clamp(0, 1).mul_(255).round_().div_(255)


def _means(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """The mean SSIM, and the mean of contrast and structure alone, of each picture and channel: both (N,C)."""
    if one.device.type != "cpu" or one.requires_grad or other.requires_grad:
        whole, structure = _luminance_and_structure(one, other)
        return whole.mean(dim=(2, 3)), structure.mean(dim=(2, 3))
    # Plane by plane, which the cache holds: half of the time.
    means = [
        torch.stack([part.mean() for part in _luminance_and_structure(plane, of_other)])
        for plane, of_other in zip(one.flatten(0, 1), other.flatten(0, 1), strict=True)  # (H, W)
    ]
    both = torch.stack(means, dim=1).view(2, *one.shape[:2])
    return both[0], both[1]


def _luminance_and_structure(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM of every window, and its contrast and structure alone: both (...,H-10,W-10) of (...,H,W)."""
    # Both variances are needed as their sum only: four pictures to be averaged, not five.
    pictures = (one, other, one.square() + other.square(), one * other)
    mean_one, mean_other, squares, products = _averaged(torch.stack(pictures))
    mean_product = mean_one * mean_other
    mean_squares = mean_one.square() + mean_other.square()
    structure = (2 * (products - mean_product) + _C2) / (squares - mean_squares + _C2)
    return (2 * mean_product + _C1) / (mean_squares + _C1) * structure, structure


def _averaged(pictures: Tensor) -> Tensor:
    """Every window's Gaussian mean, (...,H,W) to (...,H-10,W-10)."""
    weights = [math.exp(-0.5 * (place / _SIGMA_PX) ** 2) for place in range(-(WINDOW // 2), WINDOW // 2 + 1)]
    kernel = torch.tensor([weight / sum(weights) for weight in weights], dtype=torch.float64)
    height, width = pictures.shape[-2:]
    if pictures.device.type == "cpu" and not pictures.requires_grad:
        # A fourth of the time of torch's convolutions.
        rim, found = WINDOW // 2, pictures.new_empty((*pictures.shape[:-2], height - WINDOW + 1, width - WINDOW + 1))
        planes, means = pictures.reshape(-1, height, width).numpy(), found.view(-1, *found.shape[-2:]).numpy()
        for plane, mean in zip(planes, means, strict=True):
            mean[:] = cv2.sepFilter2D(plane, -1, kernel.numpy(), kernel.numpy())[rim:-rim, rim:-rim]
        return found
    # One group for each plane: as planes of one channel it takes ten times as long.
    flat = pictures.reshape(1, -1, height, width)  # (1, ..., H, W)
    groups = flat.shape[1]
    across = kernel.to(flat).view(1, 1, 1, -1).expand(groups, 1, 1, WINDOW)
    flat = F.conv2d(F.conv2d(flat, across, groups=groups), across.transpose(2, 3), groups=groups)
    return flat.view(*pictures.shape[:-2], *flat.shape[-2:])


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
