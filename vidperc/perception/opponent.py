"""Opponent colours: what the eye passes on, brightness and two differences of colours."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Rows: luminance, red-green, blue-yellow; columns: R, G, B. Orthonormal, so that squared distances stay as they were,
# and the transpose leads back.
OPPONENT = (
    (1 / math.sqrt(3), 1 / math.sqrt(3), 1 / math.sqrt(3)),
    (1 / math.sqrt(2), -1 / math.sqrt(2), 0.0),
    (-1 / math.sqrt(6), -1 / math.sqrt(6), 2 / math.sqrt(6)),
)
# The lowest and highest value of each channel, of RGB in [0,1].
OPPONENT_RANGES = (
    (0.0, math.sqrt(3)),
    (-1 / math.sqrt(2), 1 / math.sqrt(2)),
    (-2 / math.sqrt(6), 2 / math.sqrt(6)),
)


def rgb_to_opponent(rgb: Tensor) -> Tensor:
    """Luminance (R+G+B)/√3, red-green (R-G)/√2, blue-yellow (2B-R-G)/√6 of RGB, (...,3,H,W) to (...,3,H,W).

    RGB in [0,1], as it is encoded, gives luminance in [0,√3], red-green within ±1/√2 and blue-yellow within ±2/√6. Grey
    has no colour: both are 0. Float32 at least, under autocast too; float64 is kept.
    Raises ValueError, begun with "opponent", for another shape or type.
    Source: K. van de Sande, T. Gevers, C. Snoek, "Evaluating color descriptors for object and scene recognition", 2010,
    equation 2 (doi:10.1109/TPAMI.2009.154); its yellow-blue has the other sign.
    """
    return _mixed(rgb, torch.tensor(OPPONENT, dtype=torch.float64))


def opponent_to_rgb(opponent: Tensor) -> Tensor:
    """The way back of `rgb_to_opponent`."""
    return _mixed(opponent, torch.tensor(OPPONENT, dtype=torch.float64).T)


def _mixed(picture: Tensor, matrix: Tensor) -> Tensor:
    if picture.ndim < 3 or picture.shape[-3] != 3 or not picture.is_floating_point():
        raise ValueError(f"opponent: got {tuple(picture.shape)} {picture.dtype}, wanted (...,3,H,W) floats")
    with torch.autocast(picture.device.type, enabled=False):
        wide = picture if picture.dtype == torch.float64 else picture.float()
        return torch.einsum("ij,...jhw->...ihw", matrix.to(wide), wide)
