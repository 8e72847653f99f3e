"""tOF: how differently two videos move."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vidperc.metrics.psnr import rgb_codes
from vidperc.ops.warp import follow_torch_threads

# What TecoGAN's evaluation leaves out: these many pairs at each end of a video.
PAPER_DROP = 2
# Sides, in pixels, of which the crop leaves something.
PAPER_SMALLEST = 48


Flow = NDArray[np.float32]  # (H,W,2)


def tof(before: tuple[Tensor, Tensor], now: tuple[Tensor, Tensor], *, paper_crop: bool = False) -> float:
    """The mean length of the difference of two videos' flows, in pixels.

    before, now: of each video a frame, (3,H,W) float32 RGB in [0,1], all of one size.
    paper_crop: only the middle, in multiples of 32 pixels with at least 16 left out, as TecoGAN's evaluation does.
    Source: M. Chu et al., "Learning Temporal Coherence via Self-Supervision for GAN-based Video Generation", 2020
    (doi:10.1145/3386569.3392457); the parameters of the flow are those of its program.
    """
    one, other = (farneback(then, here) for then, here in zip(before, now, strict=True))
    return flows_apart(one, other, paper_crop=paper_crop)


def flows_apart(one: Flow, other: Flow, *, paper_crop: bool = False) -> float:
    """The same of flows that `farneback` found."""
    apart = np.sqrt(np.square(one - other).sum(axis=-1))
    return float((_middle(apart) if paper_crop else apart).mean())


def farneback(before: Tensor, now: Tensor) -> Flow:
    """Farneback's flow of 8-bit grey, from the earlier frame (3,H,W) to the later one: (H,W,2), in pixels."""
    follow_torch_threads()
    then, here = _grey(before), _grey(now)
    start = np.zeros((*here.shape, 2), np.float32)
    found = cv2.calcOpticalFlowFarneback(then, here, start, 0.5, 3, 15, 3, 5, 1.2, 0)
    return np.asarray(found, dtype=np.float32)


def _grey(rgb: Tensor) -> NDArray[np.uint8]:
    codes = rgb_codes(rgb).byte().permute(1, 2, 0).contiguous().cpu()  # (H, W, 3)
    return np.asarray(cv2.cvtColor(codes.numpy(), cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _middle(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """The middle of (H,W), sides the largest multiples of 32 that leave at least 16."""
    kept = [(side - 16) // 32 * 32 for side in plane.shape]
    if min(plane.shape) < PAPER_SMALLEST:
        raise ValueError(f"tof: got {plane.shape[1]}x{plane.shape[0]}, wanted sides of at least {PAPER_SMALLEST} px")
    top, left = ((side - keep) // 2 for side, keep in zip(plane.shape, kept, strict=True))
    return plane[top : top + kept[0], left : left + kept[1]]
