"""FloLPIPS: LPIPS where two videos move differently."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

# In pixels, added to every difference: where two flows are equal all positions count alike, and the figure is LPIPS.
EQUAL_PX = 1e-6


def flolpips(maps: Sequence[Tensor], apart: Tensor) -> float:
    """LPIPS of a frame, each position weighted by the length of the difference of the two videos' flows.

    maps: LPIPS's, before the mean over positions, one for each of its layers, (1,1,h,w).
    apart: the difference of the flows in pixels, (1,2,H,W); vectors are resized bilinearly, then measured.
    Flows that are equal leave plain LPIPS; the definition has 0/0 there.
    Source: D. Danier, F. Zhang, D. Bull, "FloLPIPS: A Bespoke Video Quality Metric for Frame Interpolation", 2022
    (doi:10.1109/PCS56426.2022.10018079), equations 3 and 4; they find flow by PWC-Net.
    """
    found = 0.0
    for plane in maps:
        sized = F.interpolate(apart, size=plane.shape[-2:], mode="bilinear", align_corners=False)
        weight = sized.square().sum(dim=1, keepdim=True).sqrt() + EQUAL_PX  # (1, 1, h, w)
        found += float((plane * weight).sum() / weight.sum())
    return found
