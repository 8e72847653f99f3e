"""Bicubic and Lanczos resizing of frames, antialiased when they shrink, on any device."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Kernel = Literal["bicubic", "lanczos"]

_LOBES = 3


def resize(frames: Tensor, size: tuple[int, int], kernel: Kernel) -> Tensor:
    """Frames at another size.

    frames: (T,C,h,w) float32, any range and device. size: (H,W) in pixels, each at least 1.
    Returns (T,C,H,W) float32, contiguous, on the same device; the frames themselves when the size is theirs.
    Nothing is clamped: both kernels overshoot at edges, by up to about a tenth of the step.

    A frame's result never depends on the frames beside it, bit for bit: each is resized on its own.
    Both kernels grow with the shrinking factor, and at a border the window is cut and its weights are
    normalised again, as Pillow and MATLAB's imresize (but for its mirrored border) do.

    Raises ValueError for another shape, type, size or kernel.
    Source: R. Keys, "Cubic convolution interpolation", 1981, with a = -0.5; C. Duchon, "Lanczos filtering", 1979,
    with three lobes.
    """
    if frames.ndim != 4 or frames.dtype != torch.float32:
        raise ValueError(f"frames: got {tuple(frames.shape)} {frames.dtype}, wanted (T,C,h,w) float32")
    height, width = size
    if min(height, width, frames.shape[-2], frames.shape[-1]) < 1:
        raise ValueError(f"size: got {tuple(frames.shape[-2:])} to {size}, wanted sides of at least 1 pixel")
    if (height, width) == tuple(frames.shape[-2:]):
        return frames
    if kernel == "bicubic":
        made = _bicubic(frames, height, width)
    elif kernel == "lanczos":
        made = _lanczos(frames, height, width)
    else:
        raise ValueError(f"kernel: got {kernel!r}, wanted bicubic or lanczos")
    if not made:
        return frames.new_empty((0, frames.shape[1], height, width))
    return made[0] if len(made) == 1 else torch.cat(made)  # a copy costs nearly as much as resizing


def _bicubic(frames: Tensor, height: int, width: int) -> list[Tensor]:
    # A frame in channels_last order would take another kernel, whose sums round differently.
    return [
        F.interpolate(
            frame[None].contiguous(), size=[height, width], mode="bicubic", align_corners=False, antialias=True
        )
        for frame in frames
    ]


def _lanczos(frames: Tensor, height: int, width: int) -> list[Tensor]:
    channels, old_height, old_width = frames.shape[1:]
    columns, column_weights = (part.to(frames.device) for part in lanczos_taps(old_width, width))
    rows, row_weights = (part.to(frames.device) for part in lanczos_taps(old_height, height))
    made: list[Tensor] = []
    for frame in frames:
        # A weighted sum of whole rows is one embedding_bag, fused and about twice as fast as gathering tap by tap.
        lines = frame.permute(2, 0, 1).reshape(old_width, channels * old_height)
        lines = _weighted_rows(lines, columns, column_weights)  # (W, C*h)
        lines = lines.view(width, channels, old_height).permute(2, 1, 0).reshape(old_height, channels * width)
        lines = _weighted_rows(lines, rows, row_weights)  # (H, C*W)
        made.append(lines.view(1, height, channels, width).permute(0, 2, 1, 3).contiguous())
    return made


def _weighted_rows(lines: Tensor, taps: Tensor, weights: Tensor) -> Tensor:
    return F.embedding_bag(taps, lines.contiguous(), mode="sum", per_sample_weights=weights)


def lanczos_taps(old: int, new: int) -> tuple[Tensor, Tensor]:
    """The input positions and weights that make each output position, along one axis.

    Returns two (new, taps) tensors on the CPU: int64 positions in [0, old) and float32 weights that sum to 1.
    Windows that a border cuts are filled up with weight 0.
    """
    step = old / new
    stretch = max(step, 1.0)
    centre = (torch.arange(new, dtype=torch.float64) + 0.5) * step  # (new,)
    first = (centre - _LOBES * stretch + 0.5).floor().long().clamp(min=0)
    last = (centre + _LOBES * stretch + 0.5).floor().long().clamp(max=old)
    taps = torch.arange(int((last - first).max()))
    position = first[:, None] + taps[None, :]  # (new, taps)
    distance = (position + 0.5 - centre[:, None]) / stretch
    inside = (position < last[:, None]) & (distance.abs() < _LOBES)
    weight = torch.where(inside, torch.sinc(distance) * torch.sinc(distance / _LOBES), 0.0)
    weight = weight / weight.sum(dim=1, keepdim=True)
    return position.clamp(max=old - 1), weight.float()
