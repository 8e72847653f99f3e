"""Losses of local structure: D-SSIM and MS-SSIM, from the house's one SSIM."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from vidperc.losses.checks import check_shapes
from vidperc.losses.term import Opened, Term
from vidperc.perception.ssim import MS_SMALLEST, WINDOW, ms_ssim, ssim


def ssim_loss(out: Tensor, true: Tensor) -> Tensor:
    """D-SSIM, (1 - SSIM) / 2, the mean over pictures: 0 where both are equal, at most 1.

    out, true: (...,3,H,W) RGB in [0,1]; every picture of a clip counts alike. SSIM is the mean over the channels, over
    an 11x11 Gaussian of 1.5 px, where it lies inside the picture; sides of at least 11 pixels.
    Returns a scalar, float32 or float64. Raises ValueError for anything else.
    Source: Z. Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004
    (doi:10.1109/TIP.2003.819861).
    """
    check_shapes("ssim", out, true, smallest=WINDOW)
    return (1 - ssim(_pictures(out), _pictures(true))).mean() / 2


def ms_ssim_loss(out: Tensor, true: Tensor) -> Tensor:
    """1 - MS-SSIM, the mean over pictures: 0 where both are equal.

    As `ssim_loss` for the rest, with sides above 160 pixels. Structure that is opposite in a channel counts as 0.
    Source: Z. Wang, E. Simoncelli, A. Bovik, "Multiscale structural similarity for image quality assessment", 2003
    (doi:10.1109/ACSSC.2003.1292216).
    """
    check_shapes("ms-ssim", out, true, smallest=MS_SMALLEST)
    return (1 - ms_ssim(_pictures(out), _pictures(true))).mean()


def _pictures(frames: Tensor) -> Tensor:
    return frames.reshape(-1, *frames.shape[-3:])  # (N*T, 3, H, W)


@dataclass(frozen=True, kw_only=True)
class Ssim(Term):
    """`ssim_loss`."""

    kind: Literal["ssim"] = "ssim"

    def open(self, weights: Path | None) -> Opened:
        return Opened(measure=lambda view: ssim_loss(view.bounded("out"), view.bounded("true")))


@dataclass(frozen=True, kw_only=True)
class MsSsim(Term):
    """`ms_ssim_loss`."""

    kind: Literal["ms-ssim"] = "ms-ssim"

    def open(self, weights: Path | None) -> Opened:
        return Opened(measure=lambda view: ms_ssim_loss(view.bounded("out"), view.bounded("true")))
