"""Frames and features compared along a motion, over what is visible in both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vidperc.clip import Motion
from vidperc.losses.checks import bounds, wide
from vidperc.ops.warp import warp


@dataclass(frozen=True, kw_only=True)
class Steps:
    """How each frame of a batch of clips got there from another one, the frame before or the first.

    flow: (M,2,h,w) float32 in pixels of its own size, from a frame to the place in the other that shows the same.
    visible: (M,1,h,w), 1 where the other shows it. The M = N (T-1) steps are those of the first clip, then the next.

    """

    flow: Tensor
    visible: Tensor

    def at(self, size: tuple[int, int]) -> Steps:
        """The same at another size (H,W), the vectors in pixels of that size; visible is what is wholly so."""
        sized = Motion(flow=self.flow, visible=self.visible).at(*size)
        return Steps(flow=sized.flow, visible=sized.visible)

    def at_stride(self, size: tuple[int, int], stride: int) -> Steps:
        """The same for features of this size that lie `stride` pixels apart: the vectors are divided by the stride.

        Steps of the size of the pictures. Where the features end before the picture does, its rest is left out, and
        where they go on beyond it, nothing is visible.
        """
        height, width = size[0] * stride, size[1] * stride
        flow, visible = (part[..., :height, :width] for part in (self.flow, self.visible))
        beyond = (0, width - flow.shape[-1], 0, height - flow.shape[-2])
        if any(beyond):
            flow, visible = F.pad(flow, beyond, mode="replicate"), F.pad(visible, beyond)
        return Steps(flow=flow, visible=visible).at(size)


# Resampled masks of ones may miss 1 by a bit.
_MASK_ROUNDING = 1e-4


def check_numbers(name: str, flow: Tensor, visible: Tensor) -> None:
    """Raises ValueError, beginning with the name, for a flow that is no number anywhere, and a mask outside [0,1].

    Hidden pixels are looked at, too: NaN times a mask of 0 is NaN.
    """
    if not flow.numel():
        raise ValueError(f"{name}: got a flow of {tuple(flow.shape)}, wanted sides of at least 1 pixel")
    bounds(name, "the flow", flow)
    low, high = bounds(name, "visible", visible)
    if low < -_MASK_ROUNDING or high > 1 + _MASK_ROUNDING:
        raise ValueError(f"{name}: visible has values from {low:g} to {high:g}, wanted 0 for hidden to 1 for visible")


def visible_mean(values: Tensor, visible: Tensor) -> Tensor:
    """The mean of values (M,C,h,w) over what is visible (M,1,h,w), channels alike; 0 where nothing is.

    Hidden pixels do not count as zeros: they would make a loss smaller the more is hidden.
    """
    seen = visible.to(values.dtype)
    return (values * seen).sum() / (seen.sum() * values.shape[1]).clamp(min=1)


def change_along(
    now: Tensor, before: Tensor, steps: Steps, *, distance: Literal["l1", "l2"], detach_before: bool = False
) -> Tensor:
    """The `visible_mean` of |now - warp(before)|, or of its square: (M,C,h,w) each, of the size of the steps."""
    if detach_before:
        before = before.detach()
    now, before = wide(now), wide(before)
    apart = now - warp(before, steps.flow.to(before.dtype))
    return visible_mean(apart.abs() if distance == "l1" else apart.square(), steps.visible)


def steps_of(motions: tuple[Motion, ...]) -> Steps:
    """Those of N clips with T frames each, all but their first frames."""
    return Steps(
        flow=torch.cat([motion.flow[1:] for motion in motions]),
        visible=torch.cat([motion.visible[1:] for motion in motions]),
    )


def chained(motion: Motion) -> Motion:
    """From each frame to the first one of its clip, by following the motion back, frame by frame.

    Visible is what all frames on the way show. Errors add up: over many frames motion found in one go may be better.
    """
    flows, masks = [motion.flow[:1], motion.flow[1:2]], [motion.visible[:1], motion.visible[1:2]]
    for t in range(2, len(motion)):
        step = motion.flow[t : t + 1]
        flows.append(step + warp(flows[-1], step))
        # Bilinear sums of ones may miss 1 by a bit.
        seen = warp(masks[-1], step) > 1 - 1e-4
        masks.append(motion.visible[t : t + 1] * seen)
    return Motion(flow=torch.cat(flows)[: len(motion)], visible=torch.cat(masks)[: len(motion)])
