"""Bicubic and Lanczos resizing of frames, antialiased when they shrink, on any device."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Kernel = Literal["bicubic", "lanczos"]

CENTRE = 0.5
_LOBES = {"bicubic": 2, "lanczos": 3}


def resize(
    frames: Tensor,
    size: tuple[int, int],
    kernel: Kernel,
    *,
    step: tuple[float, float] | None = None,
    site: tuple[float, float] = (CENTRE, CENTRE),
) -> Tensor:
    """Frames at another size.

    frames: (T,C,h,w) float32, any range and device. size: (H,W) in pixels, each at least 1.
    step: input samples per output sample, down and across; left out, h/H and w/W.
    site: where in its cell a sample sits, down and across, 0.5 for the centre. Subsampled chroma that sits on the left
    one of its two luma pixels has 0.25 across, and must stay there.
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
    old_height, old_width = frames.shape[-2:]
    if min(height, width, old_height, old_width) < 1:
        raise ValueError(f"size: got {tuple(frames.shape[-2:])} to {size}, wanted sides of at least 1 pixel")
    if kernel not in _LOBES:
        raise ValueError(f"kernel: got {kernel!r}, wanted bicubic or lanczos")
    usual = old_height / height, old_width / width
    step = step or usual
    if (height, width) == (old_height, old_width) and step == usual:
        return frames
    if kernel == "bicubic" and site == (CENTRE, CENTRE) and step == usual:
        made = _bicubic(frames, height, width)
    else:
        down = taps(old_height, height, kernel, step=step[0], site=site[0])
        across = taps(old_width, width, kernel, step=step[1], site=site[1])
        made = [_weighted(frame, down, across) for frame in frames]
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


def _weighted(frame: Tensor, down: tuple[Tensor, Tensor], across: tuple[Tensor, Tensor]) -> Tensor:
    """(C,h,w) to (1,C,H,W) by the taps of each axis."""
    rows, row_weights = (part.to(frame.device) for part in down)
    columns, column_weights = (part.to(frame.device) for part in across)
    made = frame.new_empty((1, frame.shape[0], rows.shape[0], columns.shape[0]))
    for plane, out in zip(frame, made[0], strict=True):
        # A weighted sum of whole rows is one embedding_bag, fused and about twice as fast as gathering tap by tap.
        narrow = _weighted_rows(plane.t(), columns, column_weights)  # (W, h)
        out.copy_(_weighted_rows(narrow.t(), rows, row_weights))  # (H, W)
    return made


def _weighted_rows(lines: Tensor, positions: Tensor, weights: Tensor) -> Tensor:
    return F.embedding_bag(positions, lines.contiguous(), mode="sum", per_sample_weights=weights)


def taps(
    old: int, new: int, kernel: Kernel, *, step: float | None = None, site: float = CENTRE
) -> tuple[Tensor, Tensor]:
    """The input positions and weights that make each output position, along one axis.

    step, site: as in `resize`. Returns two (new, taps) tensors on the CPU: int64 positions in [0, old) and float32
    weights that sum to 1. Windows that a border cuts are filled up with weight 0.
    """
    step = old / new if step is None else step
    stretch = max(step, 1.0)
    reach = _LOBES[kernel] * stretch
    # In cells of the input, counted so that a sample sits in the middle of its own.
    centre = (torch.arange(new, dtype=torch.float64) + site) * step - site + 0.5  # (new,)
    centre = centre.clamp(0.0, float(old))  # an odd side may be rounded up past the last sample
    first = (centre - reach + 0.5).floor().long().clamp(min=0)
    last = (centre + reach + 0.5).floor().long().clamp(max=old)
    position = first[:, None] + torch.arange(int((last - first).max()))[None, :]  # (new, taps)
    distance = (position + 0.5 - centre[:, None]) / stretch
    inside = (position < last[:, None]) & (distance.abs() < _LOBES[kernel])
    weight = torch.where(inside, _cubic(distance) if kernel == "bicubic" else _windowed_sinc(distance), 0.0)
    weight = weight / weight.sum(dim=1, keepdim=True)
    return position.clamp(max=old - 1), weight.float()


def _cubic(distance: Tensor) -> Tensor:
    x = distance.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _windowed_sinc(distance: Tensor) -> Tensor:
    return torch.sinc(distance) * torch.sinc(distance / _LOBES["lanczos"])
