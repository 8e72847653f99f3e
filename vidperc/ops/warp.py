"""The backward warp: frames moved along a flow, on any device, with gradients where they are asked for."""

from __future__ import annotations

import math
from typing import Literal

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

Interpolation = Literal["bilinear", "bicubic"]

_OPENCV = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
_OPENCV_SIDE = 32766  # remap counts pixels in 16 bits


def warp(images: Tensor, flow: Tensor, *, mode: Interpolation = "bilinear") -> Tensor:
    """What the images show where the flow points: out(p) = images(p + flow(p)).

    images: (T,C,H,W) floating point, any range. flow: (T,2,H,W) floating point, in pixels, across and then down, from
    each pixel of the result to the place in the image that it is taken from.
    mode: bilinear, or bicubic (Keys, a = -0.75), which is sharper and overshoots.
    Beyond the border the outermost pixels go on. Where the flow is NaN or infinite, the result is NaN.
    Returns (T,C,H,W) of the images' type, on their device, contiguous, with gradients to images and flow.

    Places are counted in float32, which is about 1e-4 px at the far end of 1280 pixels, or in float64 where both
    tensors are. On a CPU, without gradients, OpenCV does the work, which is three times as fast; it agrees with the
    other way within that precision. A frame's result depends on no other frame, and not on the number of threads.
    Raises ValueError when shapes do not agree or a tensor is not floating point.
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise ValueError(f"images: got {tuple(images.shape)} {images.dtype}, wanted (T,C,H,W) floating point")
    wanted = (images.shape[0], 2, *images.shape[2:])
    if tuple(flow.shape) != wanted or not flow.is_floating_point():
        raise ValueError(f"flow: got {tuple(flow.shape)} {flow.dtype}, wanted {wanted} floating point")
    if mode not in _OPENCV:
        raise ValueError(f"mode: got {mode!r}, wanted bilinear or bicubic")
    if images.numel() == 0:
        return images.contiguous()
    exact = images.dtype == flow.dtype == torch.float64
    wide = torch.float64 if exact else torch.float32
    with_gradients = torch.is_grad_enabled() and (images.requires_grad or flow.requires_grad)
    small = max(images.shape[2:]) <= _OPENCV_SIDE
    way = _remapped if images.device.type == "cpu" and small and not exact and not with_gradients else _sampled
    return way(images.to(wide), flow.to(wide), mode).to(images.dtype)


def _sampled(images: Tensor, flow: Tensor, mode: Interpolation) -> Tensor:
    height, width = images.shape[2:]
    # On a CPU, the gradient of a place that is NaN is written to wherever in memory that may be.
    nowhere = ~flow.isfinite().all(dim=1, keepdim=True)  # (T, 1, H, W)
    flow = flow.masked_fill(nowhere, 0)
    across = torch.arange(width, dtype=flow.dtype, device=flow.device) + flow[:, 0]  # (T, H, W)
    down = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None] + flow[:, 1]
    # With align_corners, -1 and 1 are the centres of the outermost pixels: W - 1 pixels lie between them, not W.
    grid = torch.stack([across * 2 / max(width - 1, 1) - 1, down * 2 / max(height - 1, 1) - 1], dim=-1)
    with torch.autocast(images.device.type, enabled=False):
        out = F.grid_sample(images, grid, mode=mode, padding_mode="border", align_corners=True)
    return out.masked_fill(nowhere, torch.nan)


def _remapped(images: Tensor, flow: Tensor, mode: Interpolation) -> Tensor:
    images, flow = images.detach(), flow.detach()
    follow_torch_threads()
    out = torch.empty(images.shape, dtype=images.dtype)
    how = _OPENCV[mode] | cv2.WARP_RELATIVE_MAP
    for image, vectors, made in zip(images, flow, out, strict=True):
        nowhere = None
        # A sum is a fiftieth of the time that looking at each number takes, and is finite for nearly all flows.
        if not math.isfinite(float(vectors.sum())):
            nowhere = ~vectors.isfinite().all(dim=0)  # (H, W)
            vectors = vectors.masked_fill(nowhere, 0)
        across, down = (part.contiguous().numpy() for part in vectors)
        for plane, into in zip(image, made, strict=True):
            cv2.remap(plane.contiguous().numpy(), across, down, how, dst=into.numpy(), borderMode=cv2.BORDER_REPLICATE)
        if nowhere is not None:
            made.masked_fill_(nowhere, torch.nan)
    return out


def follow_torch_threads() -> None:
    """Gives OpenCV as many threads as torch has: a worker's share of the cores, where OpenCV would take all."""
    if cv2.getNumThreads() != torch.get_num_threads():
        cv2.setNumThreads(torch.get_num_threads())
