"""Gram matrices: which features come together, wherever they are, which is what texture is."""

from __future__ import annotations

import torch
from torch import Tensor


def gram(features: Tensor) -> Tensor:
    """F F^T / (C H W) of features (N,C,H,W): (N,C,C), symmetric, at least float32, under autocast too.

    Larger pictures of the same texture have the same matrix. In half precision the sums would overflow, so features
    are brought to float32 first; float64 is kept. Raises ValueError, begun with "gram", for another shape or type.
    Source: J. Johnson, A. Alahi, L. Fei-Fei, "Perceptual losses for real-time style transfer and super-resolution",
    2016, equation 3 (doi:10.1007/978-3-319-46475-6_43).
    """
    if features.ndim != 4 or not features.is_floating_point() or not features.numel():
        raise ValueError(f"gram: got {tuple(features.shape)} {features.dtype}, wanted (N,C,H,W) floats")
    _, channels, height, width = features.shape
    with torch.autocast(features.device.type, enabled=False):
        flat = features.flatten(2)  # (N, C, H*W)
        flat = flat if flat.dtype == torch.float64 else flat.float()
        return flat @ flat.transpose(1, 2) / (channels * height * width)
