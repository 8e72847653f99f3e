"""What a luma network learns, and how well it does: the loss, and Y-PSNR on held-out images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidperc.metrics.psnr import psnr
from vidperc.ops.color import rgb_luma
from vidperc.ops.resize import resize
from vidperc.training.images import Pair, as_tensors


def missing_from_bicubic(small: Tensor, large: Tensor) -> Tensor:
    """What bicubic enlarging of the small luma (N,1,h,w) lacks of the large one (N,1,h*s,w*s), as (N,s*s,h,w)."""
    scale = large.shape[-1] // small.shape[-1]
    base = resize(small, (large.shape[-2], large.shape[-1]), "bicubic")
    return F.pixel_unshuffle(large - base, scale)  # (N, s*s, h, w)


def luma_loss(network: nn.Module, small: Tensor, large: Tensor) -> Tensor:
    """Charbonnier distance of the enlarged luma to the true one; crops in RGB, (N,3,h,w) and (N,3,h*s,w*s).

    A thousandth where the network gives just what bicubic lacks.
    """
    small = rgb_luma(small)
    return charbonnier(network(small), missing_from_bicubic(small, rgb_luma(large)))


def charbonnier(made: Tensor, wanted: Tensor) -> Tensor:
    """The mean over all numbers of sqrt(difference^2 + 1e-6).

    Source: W. Lai et al., "Deep Laplacian Pyramid Networks", 2017.
    """
    return ((made - wanted).square() + 1e-6).sqrt().mean()


def luma_psnr(pairs: Sequence[Pair]) -> Callable[[Callable[[Tensor], Tensor]], float]:
    """A measure: the mean Y-PSNR in dB over these pairs.

    What is measured gives for RGB (1,3,h,w) what its luma lacks after bicubic, (1,s*s,h,w).
    """
    prepared = [as_tensors(pair) for pair in pairs]

    @torch.no_grad()
    def measure(network: Callable[[Tensor], Tensor]) -> float:
        found: list[float] = []
        for small, large in prepared:
            scale = large.shape[-1] // small.shape[-1]
            base = resize(rgb_luma(small), (large.shape[-2], large.shape[-1]), "bicubic")
            made = base + F.pixel_shuffle(network(small), scale)
            found.append(picture_psnr(made, rgb_luma(large), crop=scale))
        return sum(found) / len(found)

    return measure


def picture_psnr(made: Tensor, true: Tensor, *, crop: int) -> float:
    """Y-PSNR in dB of luma (N,1,H,W) in [0,1], the mean over the pictures.

    Limited-range BT.601 luma, not rounded, a border of `crop` pixels cut off, as the super-resolution papers do.
    """
    # Codes of limited range, but for the 16 that black has, which cancels out.
    return float(psnr(219 * made.clamp(0, 1), 219 * true, crop=crop).mean())
