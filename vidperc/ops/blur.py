"""Blur and downsampling: the degradation that papers call BD, and plain Gaussian blur."""

from __future__ import annotations

from math import floor

import torch
import torch.nn.functional as F
from torch import Tensor

# Of the Gaussian, in sigmas; what programs of both phases take.
_REACH = 4.0

# Of BD where nothing else is said, in pixels of the large frames: what FRVSR and TecoGAN take at scale 4.
BD_SIGMA_PX = 1.5


def blur_and_pick(frames: Tensor, scale: int, sigma_px: float, *, centre: bool = True) -> Tensor:
    """Frames under a Gaussian, of which one pixel of every scale x scale is kept.

    frames: (T,C,H,W) floating point. sigma_px: of the Gaussian, in pixels of the frames. centre: the kept pixel sits in
    the middle of its cell, as resizing has it; else on the first pixel of the cell. With a scale of 1 it is a blur.
    Returns (T,C,H//scale,W//scale). The Gaussian is taken only where a kept pixel sits; its weights are those of the
    pixels around that place, to 4 sigmas. Borders are replicated for the centre and mirrored for the corner, as the
    programs of BasicVSR and TecoGAN do. A frame's result never depends on the frames beside it.
    """
    site = (scale - 1) / 2 if centre else 0.0
    reach = floor(_REACH * sigma_px)
    # In pixels from the first of each cell.
    places = torch.arange(floor(site) - reach, floor(site) + reach + 2)
    places = places[(places - site).abs() <= _REACH * sigma_px]
    weights = torch.exp(-0.5 * ((places - site) / sigma_px) ** 2)
    weights = (weights / weights.sum()).to(frames)
    before = int(-places[0])
    after = max(int(places[-1]) - scale + 1, 0)
    channels, height, width = frames.shape[1:]
    kernel = weights.expand(channels, 1, 1, -1)  # (C, 1, 1, taps)
    made = frames.new_empty((len(frames), channels, height // scale, width // scale))
    for frame, out in zip(frames, made, strict=True):
        around = F.pad(frame[None], (before, after, before, after), mode="replicate" if centre else "reflect")
        across = F.conv2d(around, kernel, stride=(1, scale), groups=channels)
        down = F.conv2d(across, kernel.transpose(2, 3), stride=(scale, 1), groups=channels)
        out.copy_(down[0, :, : out.shape[1], : out.shape[2]])
    return made
