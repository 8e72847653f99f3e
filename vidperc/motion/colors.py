"""Flow as colours: the wheel that the Middlebury benchmark made usual."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# From one corner of the wheel to the next: which channel changes, whether it rises, and in how many steps.
_ARCS = (
    (1, True, 15),  # red to yellow
    (0, False, 6),  # yellow to green
    (2, True, 4),  # green to cyan
    (1, False, 11),  # cyan to blue
    (0, True, 13),  # blue to magenta
    (2, False, 6),  # magenta to red
)
_BEYOND = 0.75  # vectors longer than the largest are darkened to this


def flow_to_rgb(flow: Tensor, max_px: float | None = None) -> Tensor:
    """Flow as a picture: the direction is the colour, the length is how strong it is; white is at rest.

    flow: (T,2,h,w) floating point, in pixels, across and then down; what is not a number becomes black.
    max_px: the length that has the full colour; longer ones are darker. None for the longest there is, which differs
    from call to call: give it for a video.
    Returns (T,3,h,w) float32 RGB in [0,1], on the flow's device. To the right is red, down is yellow, to the left is
    cyan, up is violet.
    Raises ValueError for another shape, or a length that is not above 0.
    Source: S. Baker et al., "A database and evaluation methodology for optical flow", 2011
    (doi:10.1007/s11263-010-0390-2), figure 7 and its flow code.
    """
    if flow.ndim != 4 or flow.shape[1] != 2 or not flow.is_floating_point():
        raise ValueError(f"flow: got {tuple(flow.shape)} {flow.dtype}, wanted (T,2,h,w) floating point")
    if max_px is not None and not max_px > 0:
        raise ValueError(f"max_px: got {max_px}, wanted more than 0 pixels")
    known = flow.isfinite().all(dim=1, keepdim=True)  # (T, 1, h, w)
    across, down = torch.where(known, flow, 0.0).float().unbind(1)
    length = torch.hypot(across, down)  # (T, h, w)
    if max_px is None:
        max_px = float(length.max()) if length.numel() else 0.0
    length = length / max(max_px, torch.finfo(torch.float32).tiny)
    wheel = _wheel().to(flow.device)
    place = (torch.atan2(-down, -across) / math.pi + 1) / 2 * (len(wheel) - 1)
    first = place.floor().long().clamp(max=len(wheel) - 1)
    share = (place - first)[..., None]
    color = torch.lerp(wheel[first], wheel[(first + 1) % len(wheel)], share)  # (T, h, w, 3)
    inside = (length <= 1)[..., None]
    color = torch.where(inside, 1 - length[..., None] * (1 - color), color * _BEYOND)
    return color.movedim(-1, 1) * known


def _wheel() -> Tensor:
    """The colours around the wheel, (55,3)."""
    color = torch.tensor([1.0, 0.0, 0.0])
    colors: list[Tensor] = []
    for channel, rises, steps in _ARCS:
        for step in range(steps):
            here = color.clone()
            here[channel] = step / steps if rises else 1 - step / steps
            colors.append(here)
        color[channel] = float(rises)
    return torch.stack(colors)
