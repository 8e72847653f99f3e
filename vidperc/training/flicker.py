"""Clips that flicker as networks make them flicker, and the same clips without it: what a consistency network learns.

A network that sees one frame at a time has a manner that is its own, and it wavers: it adds a little more here and a
little less there, finds a texture in one frame and loses it in the next, and trembles by parts of a pixel. The manner
is drawn once for a clip and kept; the wavering is new in each frame, and what shall go.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vidperc.models.luma import RunningLuma
from vidperc.models.own_card import shipped_path
from vidperc.models.precision import fast_precision
from vidperc.models.weights import LumaNetwork, read_network
from vidperc.ops.blur import blur_and_pick
from vidperc.ops.color import rgb_luma
from vidperc.ops.resize import resize
from vidperc.ops.warp import warp
from vidperc.training.clip_batch import ClipBatch

# Whose detail half of the clips have: a small network of ours, which is quick enough to run beside a training.
_NETWORK = "fast-x2"

# Standard deviations and largest values of what wavers, at its strongest; a clip draws its own share of each.
_GAIN, _LOCAL_GAIN = 0.25, 0.6  # of the detail: all of a frame, and patches of it
_LIGHT = 0.02  # of the whole picture
_SHIFT_PX = 0.75
_NOISE = 4 / 255
_SOURCE_NOISE = 5 / 255  # of the small frames that the network is given

# What a network takes for nothing, and leaves out: detail as strong as this over some pixels is half left out.
_LEAST_FOUND, _MOST_FOUND = 1 / 255, 6 / 255
_FOUND = 1.0  # standard deviation of its logarithm, from frame to frame

_KINDS, _CALMEST = 8, 0.4  # of wavering, and of its strength the least that a clip has

_PATCH = 12  # pixels of the output between two places whose gain is drawn


@dataclass(frozen=True)
class FlickerBatch:
    """Clips of luma, N of T frames: what a step of a consistency network is given, and what is known of it.

    source: (N,T,1,h,w), as decoded. made: (N,T,1,H,W), what another network made of it, flickering. wanted: the same
    without. flow: (N,T,2,h,w), visible: (N,T,1,h,w), of the source, as `Motion` has them. All float32.
    """

    source: Tensor
    made: Tensor
    wanted: Tensor
    clips: ClipBatch

    @property
    def flow(self) -> Tensor:
        return self.clips.flow

    @property
    def visible(self) -> Tensor:
        return self.clips.visible


class Flicker:
    """Makes clips flicker, each by its number: what is drawn depends on that and on the seed alone."""

    def __init__(self) -> None:
        network = read_network(shipped_path(_NETWORK))
        assert isinstance(network, LumaNetwork)
        types = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
        precision = types[fast_precision("cpu")]
        self._network = RunningLuma(network.shape, network.weights, precision=precision, device=torch.device("cpu"))

    @torch.no_grad()
    def __call__(self, clips: ClipBatch, numbers: range, *, seed: int) -> FlickerBatch:
        """The clips of a batch, x2, with what a network could have made of them; numbers: theirs."""
        source, true = rgb_luma(clips.small), rgb_luma(clips.large)
        made: list[Tensor] = []
        wanted: list[Tensor] = []
        for small, large, number in zip(source, true, numbers, strict=True):
            flickers, stays = self._of_clip(small, large, np.random.default_rng((seed, 3, number)))
            made.append(flickers)
            wanted.append(stays)
        return FlickerBatch(source, torch.stack(made), torch.stack(wanted), clips)

    def _of_clip(self, small: Tensor, large: Tensor, chance: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Of (T,1,h,w) and (T,1,H,W): the clip that flickers, and the one that does not, (T,1,H,W)."""
        base = resize(small, (large.shape[-2], large.shape[-1]), "bicubic")
        manner = float(chance.uniform(0.6, 2.0))  # a soft network, or one that overdoes it
        # Half of the networks leave out what they take for nothing.
        found = float(chance.uniform(_LEAST_FOUND, _MOST_FOUND)) if chance.integers(2) else 0.0
        by_network = bool(chance.integers(2))
        detail = self._details(small) if by_network else large - base
        stays = base + manner * _left(detail, found)
        # How strongly each kind wavers. A clip has half of them; were many clips calm, a network would learn to hold
        # next to nothing.
        shares = chance.uniform(_CALMEST, 1) * chance.random(_KINDS) * chance.integers(0, 2, _KINDS)
        flickers: list[Tensor] = []
        for t in range(len(small)):
            again = self._again(small[t : t + 1], detail[t : t + 1], by_network, float(shares[6]), chance)
            again = manner * _left(again, found * exp(chance.normal(0, _FOUND * float(shares[7]))))
            flickers.append(_wavering(base[t : t + 1], again, shares, chance))
        return torch.cat(flickers), stays

    def _again(
        self, small: Tensor, detail: Tensor, by_network: bool, share: float, chance: np.random.Generator
    ) -> Tensor:
        """The detail of a frame as the network finds it when the frame was a little worse, or softened."""
        if by_network:
            noise = _noise(small.shape, share * _SOURCE_NOISE, chance)
            soft = chance.random() < share
            worse = blur_and_pick(small, 1, float(chance.uniform(0.3, 0.8))) if soft else small
            return self._details(worse + noise)
        return blur_and_pick(detail, 1, float(chance.uniform(0.3, 1.0))) if chance.random() < share else detail

    def _details(self, small: Tensor) -> Tensor:
        """What the network adds to frames (T,1,h,w), (T,1,H,W)."""
        made: list[Tensor] = []
        for place in range(len(small)):
            frame = small[place : place + 1]
            details = frame.new_zeros((1, 1, 2 * frame.shape[-2], 2 * frame.shape[-1]))
            self._network.add_to(details, frame.contiguous(), tile=0)
            made.append(details)
        return torch.cat(made)


def _left(detail: Tensor, found: float) -> Tensor:
    """Detail (T,1,H,W) without what a network takes for nothing: less than `found`, over 7x7 pixels."""
    if not found:
        return detail
    energy = F.avg_pool2d(detail.square(), 7, stride=1, padding=3, count_include_pad=False)
    return detail * (energy / (energy + found**2))


def _wavering(base: Tensor, detail: Tensor, shares: np.ndarray, chance: np.random.Generator) -> Tensor:
    """A frame (1,1,H,W) whose detail is a little more or less than it should be, elsewhere, and noisy."""
    gain, local, light, shift, noise, blobs = (float(share) for share in shares[:6])
    height, width = detail.shape[-2:]
    places = (1, 1, height // _PATCH + 2, width // _PATCH + 2)
    field = torch.from_numpy(chance.normal(0, local * _LOCAL_GAIN, places).astype(np.float32))
    field = F.interpolate(field, size=(height, width), mode="bilinear", align_corners=False)
    detail = detail * (1 + chance.normal(0, gain * _GAIN) + field).clamp(0, 2.5)
    moved = torch.from_numpy(chance.uniform(-1, 1, 2).astype(np.float32) * (shift * _SHIFT_PX)).view(1, 2, 1, 1)
    detail = warp(detail, moved.expand(1, 2, height, width).contiguous(), mode="bicubic")
    white = _noise(detail.shape, noise * _NOISE, chance)
    # What invented texture looks like: noise of some pixels' width.
    coarse = blur_and_pick(_noise(detail.shape, blobs * 4 * _NOISE, chance), 1, 1.0)
    return (base + detail) * (1 + chance.normal(0, light * _LIGHT)) + white + coarse


def _noise(shape: torch.Size, sigma: float, chance: np.random.Generator) -> Tensor:
    return torch.from_numpy(chance.normal(0, sigma, tuple(shape)).astype(np.float32))
