"""How much a video changes along the motion of its source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from vidperc.ops.warp import warp

if TYPE_CHECKING:
    from vidperc.clip import Motion


def warping_error(before: Tensor, now: Tensor, motion: Motion) -> float | None:
    """The mean squared difference of a frame and the one before it moved along, over what is visible in both.

    before, now: (3,H,W) float32 RGB in [0,1]. motion: of one frame of the source, of any size.
    The mean is over channels too, so it does not depend on their number. None where nothing is visible.
    Source: W.-S. Lai et al., "Learning Blind Video Temporal Consistency", 2018, section 4.2.
    """
    flow, visible = along(motion, now)
    pixels = float(visible.sum())
    if pixels == 0:
        return None
    change = (now.clamp(0, 1)[None] - warp(before.clamp(0, 1)[None], flow)).square_()
    return float((change * visible).sum() / (pixels * now.shape[0]))


def coverage(motion: Motion) -> float:
    """The share of pixels that are visible in both frames, the only ones that count in temporal figures."""
    return float(motion.visible.mean())


def along(motion: Motion, frame: Tensor) -> tuple[Tensor, Tensor]:
    """Flow (1,2,H,W) and what is visible (1,1,H,W), at the size of a frame (C,H,W)."""
    sized = motion.at(frame.shape[-2], frame.shape[-1])
    return sized.flow, sized.visible
