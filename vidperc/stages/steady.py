"""The stage that holds in place what networks added to the source's frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, log
from typing import TYPE_CHECKING, Literal

from vidperc.clip import Clip
from vidperc.placement import Placement
from vidperc.stages.stage import Stream

if TYPE_CHECKING:
    from torch import Tensor

# Of the detail that is shown, the share that is held over from the frame before, at full strength.
_MOST_HELD = 0.9

# A state is forgotten when less than this is left of it: one code of 8 bits, should all of it have been wrong.
_FORGOTTEN = 1 / 256

# How much less energy than the held detail the new one may have: detail that comes and goes does, a ghost far less.
_WEAKER = 16

# Squared gradient of detail below which nobody sees it: half a code of 8 bits, per pixel.
_UNSEEN = (0.5 / 255) ** 2


@dataclass(frozen=True, kw_only=True)
class Steady:
    """Hold the detail that networks added along the motion of the source, so that it neither flickers nor swims.

    What is held is the difference between a frame and the source's own, enlarged by bicubic: the source's light,
    colour and movement pass at once. It is mixed with what was shown before, moved to where the source moved, as far
    as the source shows the same surface there and looks as it did, and as the new frame has detail there, too: where
    flow drags the ground along with what moves over it, outlines would stay behind on it.

    strength: 0 to leave frames as they are, to 1 for nine tenths of a frame's detail from the frames before.
    tolerance: how much the source may change along its motion, in 8-bit codes, until its detail is taken anew.

    Source: blending along motion after M. Lang et al., "Practical Temporal Consistency for Image-Based Graphics
    Applications", 2012, and W.-S. Lai et al., "Learning Blind Video Temporal Consistency", 2018 (the weight
    exp(-|I_t - warp(I_{t-1})|^2)); holding only what differs from the source is ours.
    """

    kind: Literal["steady"] = "steady"
    strength: float = 0.9
    tolerance: float = 26.0

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength: got {self.strength:g}, wanted 0 to 1")
        if not 1 <= self.tolerance <= 255:
            raise ValueError(f"tolerance: got {self.tolerance:g}, wanted 1 to 255 codes")

    @property
    def past(self) -> int:
        return 0

    @property
    def future(self) -> int:
        return 0

    @property
    def settle(self) -> int:
        held = _MOST_HELD * self.strength
        return ceil(log(_FORGOTTEN) / log(held)) if held > _FORGOTTEN else 0

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"motion"})

    @property
    def provides(self) -> frozenset[str]:
        return frozenset()

    @property
    def takes_luma(self) -> bool:
        return True

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        return width, height

    def open(self, placement: Placement) -> Stream:
        if not self.strength:
            return lambda clips: clips

        def stream(clips: Iterator[Clip]) -> Iterator[Clip]:
            import torch

            shot, before, held = None, None, None  # the source's frame before, and the detail shown with it
            for clip in clips:
                made: list[Tensor] = []
                for single in clip.singles():
                    base = _enlarged(single)
                    detail = single.frames - base
                    if before is not None and held is not None and single.shot == shot:
                        weight, moved = self._kept(single, before, held)
                        weight = weight.mul_(_still_there(detail, moved))
                        # A lerp in which the weights of a hidden pixel are exactly 0: its detail is the new one.
                        detail = detail.addcmul_(weight, moved.sub_(detail))
                    shot, before, held = single.shot, single.source, detail
                    made.append(base.add_(detail) if base is not single.source else base + detail)
                # Chroma is the source's own, enlarged: networks that take luma alone add nothing to it.
                yield clip.with_frames(made[0] if len(made) == 1 else torch.cat(made), clip.chroma)

        return stream

    def _kept(self, clip: Clip, before: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
        """The share of the held detail that stays, (1,1,H,W), and that detail where it is now, (1,C,H,W)."""
        import torch.nn.functional as F

        from vidperc.ops.warp import warp

        assert clip.motion is not None  # the pipeline was checked for it
        size = held.shape[-2], held.shape[-1]
        there = clip.motion.at(*clip.source.shape[-2:])
        same = self._sameness(clip.source, warp(before, there.flow))
        here = clip.motion.at(*size)
        weight = F.interpolate(same, size=size, mode="bilinear", align_corners=False)
        weight.mul_(here.visible).mul_(_MOST_HELD * self.strength)
        # Bicubic, because the detail passes here once for every frame that it is held, and bilinear would wear it off.
        return weight, warp(held, here.flow, mode="bicubic")

    def _sameness(self, source: Tensor, moved: Tensor) -> Tensor:
        """1 where the source looks as it did before, towards 0 where it changed, (1,1,h,w)."""
        import torch.nn.functional as F

        changed = (source - moved).square_().mean(dim=1, keepdim=True)
        # Over 5x5 pixels: noise averages out, and no single pixel is alike by chance.
        changed = F.avg_pool2d(F.pad(changed, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
        return changed.mul_(-((255 / self.tolerance) ** 2)).exp_()


def _still_there(detail: Tensor, moved: Tensor) -> Tensor:
    """1 where the new detail (1,C,H,W) is nearly as strong as the held one, towards 0 where it is weaker, (1,1,H,W).

    By their energies over 8x8 pixels: what flickers keeps some of its own, a ghost has it alone.
    """
    import torch.nn.functional as F

    new, old = (_energy(planes) for planes in (detail, moved))
    share = new.mul_(_WEAKER).add_(_UNSEEN).div_(old.add_(_UNSEEN)).clamp_(max=1).square_()
    return F.interpolate(share, size=detail.shape[-2:], mode="bilinear", align_corners=False)


def _energy(planes: Tensor) -> Tensor:
    """The mean squared gradient of planes (1,C,H,W) about every fourth pixel, (1,1,~H/4,~W/4)."""
    import torch.nn.functional as F

    across = F.pad(planes.diff(dim=3), (0, 1)).square_()
    down = F.pad(planes.diff(dim=2), (0, 0, 0, 1)).square_()
    squared = across.add_(down).mean(dim=1, keepdim=True)
    return F.avg_pool2d(squared, 8, stride=4, padding=2, ceil_mode=True, count_include_pad=False)


def _enlarged(clip: Clip) -> Tensor:
    """The source at the size of the frames, (1,C,H,W)."""
    from vidperc.ops.resize import resize

    size = clip.frames.shape[-2], clip.frames.shape[-1]
    return clip.source if clip.source.shape[-2:] == size else resize(clip.source, size, "bicubic")
