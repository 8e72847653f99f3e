"""Warp loss: a frame should look like the one before it, moved along the motion of the source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from vidperc.losses.along import Steps, change_along, check_numbers
from vidperc.losses.checks import check_shapes
from vidperc.losses.term import Need, Opened, Term

if TYPE_CHECKING:
    from vidperc.losses.view import View

Apart = Literal["l1", "l2"]
Reach = Literal["short", "long"]


def warp_loss(
    now: Tensor,
    before: Tensor,
    flow: Tensor,
    visible: Tensor,
    *,
    distance: Apart = "l1",
    detach_before: bool = False,
) -> Tensor:
    """The mean of |now - warp(before, flow)| over visible pixels and channels, or of its square with l2.

    now, before: (M,3,H,W) RGB in [0,1]. flow: (M,2,h,w) float32, in its own pixels, *from now to before*: the place p
    of now shows what was at p + flow(p) in before. visible: (M,1,h,w), 1 where before shows the same surface. Both are
    brought to the size of the pictures, the vectors with them.
    detach_before: no gradient to before, so that a frame follows its past and not the past its future.
    Returns a scalar, float32 or float64; 0 where nothing is visible. Raises ValueError for other shapes, and a flow or
    mask that is no number.
    Source: M. Ruder, A. Dosovitskiy, T. Brox, "Artistic style transfer for videos", 2016, equation 7
    (doi:10.1007/978-3-319-45886-1_3); W.-S. Lai et al., "Learning blind video temporal consistency", 2018, equations 3
    and 4 (doi:10.1007/978-3-030-01267-0_11).
    """
    check_shapes("warp", now, before)
    steps = _sized("warp", flow, visible, now)
    return change_along(now, before, steps, distance=distance, detach_before=detach_before)


def _sized(name: str, flow: Tensor, visible: Tensor, frames: Tensor) -> Steps:
    if flow.ndim != 4 or flow.shape[:2] != (len(frames), 2):
        raise ValueError(f"{name}: got a flow of {tuple(flow.shape)}, wanted ({len(frames)},2,h,w)")
    if visible.shape != (len(frames), 1, *flow.shape[2:]):
        raise ValueError(f"{name}: got a mask of {tuple(visible.shape)}, wanted that of the flow, {tuple(flow.shape)}")
    check_numbers(name, flow, visible)
    return Steps(flow=flow.float(), visible=visible.float()).at((frames.shape[-2], frames.shape[-1]))


@dataclass(frozen=True, kw_only=True)
class Warp(Term):
    """`warp_loss` of all frames but the first of each clip, pooled over the batch.

    reach: `short`, against the frame before; `long`, against the first frame of the clip.
    """

    kind: Literal["warp"] = "warp"
    reach: Reach = "short"
    distance: Apart = "l1"
    detach_before: bool = False

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"clip", "motion"})

    def open(self, weights: Path | None) -> Opened:
        def measure(view: View) -> Tensor:
            out = view.out
            before = out[:, :-1] if self.reach == "short" else out[:, :1].expand_as(out[:, 1:])
            return change_along(
                out[:, 1:].flatten(0, 1),  # (N*(T-1), 3, H, W)
                before.flatten(0, 1),
                view.steps(self.reach),
                distance=self.distance,
                detach_before=self.detach_before,
            )

        return Opened(measure=measure)
