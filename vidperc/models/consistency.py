"""The consistency network: it refines, pixel by pixel, how the stage `steady` holds the detail that networks added.

The blend made by hand knows whether the source stayed alike and whether both details are strong. Which of them is right
it does not know: that takes a look at both, at the picture they belong to, and at how that changed. So a small network
is shown all of this, and the share that the blend by hand would keep; it answers with a share of its own, and with a
little that is added. Before it has learnt anything it gives just the blend by hand.

Source: W.-S. Lai et al., "Learning Blind Video Temporal Consistency", 2018 (a recurrent network that makes a processed
video consistent from its frames, those of the source, and its own last output). That it holds detail over the enlarged
source, moved beforehand, and corrects a blend in place of making the picture, is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vidperc.models.folded import TrainableConvs, begin_near_identity, convolve_all
from vidperc.models.luma import packed_layers, through_layers
from vidperc.ops.color import rgb_luma
from vidperc.ops.flow_size import resize_flow, resize_mask
from vidperc.ops.held import kept_share
from vidperc.ops.resize import resize
from vidperc.ops.warp import warp

# Pixels on a side of the cells in which the layers see the picture: a quarter of the time, and twice the reach.
_CELL = 2

# New detail, held detail, the enlarged source, its change, the share kept by hand, visible; and what is answered.
_SEEN, _ANSWERED = 6, 2

# Detail and changes are some hundredths; with this they are as large as the luma beside them. A power of two.
_GAIN = 4.0

# Of what is shown, the share that may be held at full strength; more would be remembered for longer than a segment.
_MOST_LEARNT = 0.95

# The most that is added to a pixel, in units of the picture: 4 codes of 8 bits. With more, a network learns to blur.
_MOST_ADDED = 1 / 64

# The blend by hand that it learns to correct: that of the stage `steady` at full strength.
_MOST_BY_HAND, _TOLERANCE = 0.9, 26.0


@dataclass(frozen=True, kw_only=True)
class ConsistencyShape:
    """The shape of a consistency network: `depth` 3x3 convolutions of `channels` between the first and the last one."""

    channels: int
    depth: int

    def widths(self) -> list[tuple[int, int]]:
        """Input and output channels of every convolution."""
        c, cells = self.channels, _CELL * _CELL
        return [(_SEEN * cells, c), *[(c, c)] * self.depth, (c, _ANSWERED * cells)]

    @property
    def parameters(self) -> int:
        """How many numbers the network has when it runs."""
        return sum(9 * i * o + o for i, o in self.widths())

    @property
    def reach(self) -> int:
        """How many cells away it still looks."""
        return self.depth + 2


@dataclass(frozen=True)
class Held:
    """What a frame leaves to the one after it: its source (N,C,h,w), that enlarged, and the detail that was shown.

    base, detail: (N,C,H,W) float32.
    """

    source: Tensor
    base: Tensor
    detail: Tensor


@dataclass(frozen=True)
class Scene:
    """What is known of frames before the network is asked.

    seen: (N,C,H/2,W/2), for its layers. detail, moved: (N,C,H,W), the new detail and the held one where it is now.
    share: (N,1,H,W), what the blend by hand keeps of it at full strength. visible: (N,1,H,W) of 0 and 1.
    """

    seen: Tensor
    detail: Tensor
    moved: Tensor
    share: Tensor
    visible: Tensor


def look(source: Tensor, base: Tensor, detail: Tensor, flow: Tensor, visible: Tensor, before: Held) -> Scene:
    """What is known of frames, N at once.

    source: (N,C,h,w), luma or RGB in [0,1]. base: (N,C,H,W), the same by bicubic. detail: what the frames have beyond
    it. flow, visible: as `vidperc.clip.Motion` has them, at any size. before: what the frames before left.
    """
    size = base.shape[-2], base.shape[-1]
    flow = flow.nan_to_num(0, 0, 0)  # where nothing was found; hidden there, but nothing times a NaN is one
    here = resize_flow(flow, size)
    # Bicubic, because the detail passes here once for every frame that it is held, and bilinear would wear it off.
    moved = warp(before.detail, here, mode="bicubic")
    there = resize_mask(visible, size)
    share = kept_share(
        source, before.source, flow, visible, detail, moved.detach(), most=_MOST_BY_HAND, tolerance=_TOLERANCE
    )
    luma = _luma(base)
    changed = luma - warp(_luma(before.base), here)
    planes = [_luma(detail) * _GAIN, _luma(moved) * (there * _GAIN), luma - 0.5, changed * (there * _GAIN)]
    seen = _cells(torch.cat([*planes, share, there], dim=1))
    return Scene(seen, detail, moved, share, there)


def settle_on(scene: Scene, answer: Tensor, strength: float) -> Tensor:
    """The detail to show, (N,C,H,W) float32, by what the network answered of a scene, (N,8,H/2,W/2).

    strength: 0 for the new detail as it is, to 1. An answer of zeros is the blend by hand.
    """
    height, width = scene.detail.shape[-2:]
    planes = F.pixel_shuffle(answer.float(), _CELL)[..., :height, :width]  # (N, 2, H, W)
    turned = planes[:, :1].tanh() * scene.visible
    # Up to the most, or down to nothing: never beyond, and not moved by an answer of 0.
    share = scene.share + turned * torch.where(turned >= 0, _MOST_LEARNT - scene.share, scene.share)
    added = F.hardtanh(planes[:, 1:]) * (scene.visible * (_MOST_ADDED * strength))
    return scene.detail + (scene.moved - scene.detail) * (share * strength) + added


class RunningConsistency:
    """A consistency network that is ready to run.

    weights: as `TrainableConsistency.folded` gives them. precision: what the layers compute in.
    """

    def __init__(
        self, shape: ConsistencyShape, weights: Mapping[str, Tensor], *, precision: torch.dtype, device: torch.device
    ) -> None:
        self.shape = shape
        self._precision = precision
        self._layers = packed_layers(weights, precision=precision, device=device)

    def step(
        self,
        source: Tensor,
        base: Tensor,
        detail: Tensor,
        flow: Tensor,
        visible: Tensor,
        before: Held | None,
        *,
        strength: float,
        tile: int,
    ) -> tuple[Tensor, Held]:
        """The detail to show of a frame, (1,C,H,W) float32, and what that leaves to the next frame.

        source, base, detail, flow, visible, before: as `look` takes them, of one frame; before is None at the first
        frame of a shot, whose detail is shown as it is. strength: as `settle_on` takes it.
        tile: side of the square tiles, in cells of 2x2 pixels of the output, 0 for the whole frame. They overlap by the
        network's reach and give the bits of the whole frame on a CPU.
        """
        if before is not None:
            scene = look(source, base, detail, flow, visible, before)
            seen = scene.seen.to(self._precision)
            answer = seen.new_empty((1, _ANSWERED * _CELL * _CELL, *seen.shape[-2:]))
            for row, column, made in through_layers(self._layers, seen, tile=tile, reach=self.shape.reach):
                answer[..., row.keep_start : row.keep_stop, column.keep_start : column.keep_stop] = made
            detail = settle_on(scene, answer, strength)
        return detail, Held(source, base, detail)


class TrainableConsistency(TrainableConvs):
    """A consistency network as it is trained, over clips of luma.

    Computes in bfloat16 where that is quick, with float32 weights; the picture stays float32.
    """

    def __init__(self, shape: ConsistencyShape, *, expand: int) -> None:
        super().__init__(shape.widths(), expand=expand)
        self.shape = shape
        begin_near_identity(self.convolutions())
        last = self.convolutions()[-1]
        with torch.no_grad():
            last.weight.zero_()
            if last.expand:
                last.narrow.zero_()

    def forward(self, made: Tensor, source: Tensor, flow: Tensor, visible: Tensor, strength: float = 1.0) -> Tensor:
        """Clips held steady, (N,T,1,H,W) float32.

        made: (N,T,1,H,W), what other networks made of source, (N,T,1,h,w), both luma in [0,1]. flow: (N,T,2,h,w),
        visible: (N,T,1,h,w), float32, as `vidperc.clip.Motion` has them, each clip one shot. Gradients go back through
        all frames, along the held detail; never into the flow.
        """
        size = made.shape[-2], made.shape[-1]
        flow, visible = flow.detach(), visible.detach()
        kernels = self.kernels()
        before: Held | None = None
        out: list[Tensor] = []
        for t in range(made.shape[1]):
            here = source[:, t]
            base = resize(here, size, "bicubic")
            detail = made[:, t] - base
            if before is not None:
                scene = look(here, base, detail, flow[:, t], visible[:, t], before)
                detail = settle_on(scene, convolve_all(scene.seen, kernels), strength)
            before = Held(here, base, detail)
            out.append(base + detail)
        return torch.stack(out, dim=1)


def _luma(planes: Tensor) -> Tensor:
    return planes if planes.shape[1] == 1 else rgb_luma(planes)


def _cells(planes: Tensor) -> Tensor:
    """Planes (N,C,H,W) as (N,4*C,H/2,W/2), with the last row and column again where a side is odd."""
    height, width = planes.shape[-2:]
    odd = (0, width % _CELL, 0, height % _CELL)
    return F.pixel_unshuffle(F.pad(planes, odd, mode="replicate") if any(odd) else planes, _CELL)
