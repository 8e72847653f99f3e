"""Which pixels a flow can be trusted at: what is seen in both frames, away from the edges of what moves."""

from __future__ import annotations

import torch
from torch import Tensor

from vidperc.ops.warp import warp

# Forward and backward flow may disagree by this share of their squared lengths, and by this much more, in squared px.
_RELATIVE, _ABSOLUTE = 0.01, 0.5
# A motion boundary is where the squared gradient of the flow is above this share of its squared length, and this.
_EDGE_RELATIVE, _EDGE_ABSOLUTE = 0.01, 0.002

_STRIP_PIXELS = 1 << 16


def find_visible(flow: Tensor, reverse: Tensor) -> Tensor:
    """The mask of the pixels that the other frame shows, too, found by going there and back.

    flow: (T,2,h,w) float32, in pixels, from each pixel of here to its place there. reverse: the same from there to
    here.
    Returns (T,1,h,w) float32, 1 for visible. Hidden is what does not come back to where it started, lies on a boundary
    between motions, or is outside the frame there. A frame's mask depends on no other frame.
    Raises ValueError when the shapes do not agree.
    Source: N. Sundaram, T. Brox, K. Keutzer, "Dense point trajectories by GPU-accelerated large displacement optical
    flow", 2010, section 3 (doi:10.1007/978-3-642-15549-9_32), with its constants; gradients are central differences.
    """
    if flow.ndim != 4 or flow.shape[1] != 2 or flow.shape != reverse.shape:
        raise ValueError(f"got {tuple(flow.shape)} and {tuple(reverse.shape)}, wanted two of one shape (T,2,h,w)")
    back = warp(reverse, flow)  # (T, 2, h, w), what leads back from where the flow points
    visible = flow.new_empty((flow.shape[0], 1, *flow.shape[2:]))
    height, width = flow.shape[2:]
    # Some rows at a time, which stay in the cache; a GPU has better things to do than small steps.
    rows = max(1, _STRIP_PIXELS // width) if flow.device.type == "cpu" else max(height, 1)
    for frame, led_back, out in zip(flow, back, visible[:, 0], strict=True):
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            out[top:bottom] = _visible(frame, led_back[:, top:bottom], top, bottom)
    return visible


def points_inside(flow: Tensor) -> Tensor:
    """Where a flow (T,2,h,w) points into the frame: (T,1,h,w) float32 of 0 and 1."""
    return torch.stack([_inside(frame, 0, flow.shape[2]) for frame in flow])[:, None].float()


def _visible(flow: Tensor, back: Tensor, top: int, bottom: int) -> Tensor:
    """The mask of the rows top to bottom - 1, (n,w): flow (2,h,w), back (2,n,w) of those rows."""
    here = flow[:, top:bottom]
    length = _squared(here)
    allowed = (length + _squared(back)).mul_(_RELATIVE).add_(_ABSOLUTE)
    visible = _squared(back + here) < allowed
    # With the row above and the one below, where there is one.
    above = max(top - 1, 0)
    gradient = _squared_gradient(flow[:, above : bottom + 1])[top - above : bottom - above]
    visible &= gradient <= length.mul_(_EDGE_RELATIVE).add_(_EDGE_ABSOLUTE)
    visible &= _inside(here, top, flow.shape[1])
    return visible


def _squared(flow: Tensor) -> Tensor:
    return (flow[0] * flow[0]).addcmul_(flow[1], flow[1])


def _squared_gradient(flow: Tensor) -> Tensor:
    """The squared length of both components' gradients, (2,n,w) to (n,w); outside, the flow goes on as it is."""
    total = torch.zeros_like(flow[0])
    for axis, size in enumerate(total.shape):
        if size == 1:
            continue
        inner = total.narrow(axis, 1, size - 2)
        for part in flow:
            step = part.narrow(axis, 2, size - 2) - part.narrow(axis, 0, size - 2)
            inner.addcmul_(step, step, value=0.25)
            for first, place in ((0, 0), (size - 2, size - 1)):
                step = part.narrow(axis, first + 1, 1) - part.narrow(axis, first, 1)
                total.narrow(axis, place, 1).addcmul_(step, step, value=0.25)
    return total


def _inside(flow: Tensor, top: int, height: int) -> Tensor:
    """Whether the flow of these rows, the first of which is `top`, points into the frame; (2,n,w) to (n,w)."""
    rows, width = flow.shape[1:]
    middle = (width - 1) / 2, (height - 1) / 2
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device) - middle[0]
    down = torch.arange(top, top + rows, dtype=flow.dtype, device=flow.device)[:, None] - middle[1]
    return ((flow[0] + columns).abs_() <= middle[0]) & ((flow[1] + down).abs_() <= middle[1])
