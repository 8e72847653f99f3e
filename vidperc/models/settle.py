"""How long recurrent networks, and the consistency network, remember where they began."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import ceil
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from vidperc.models.consistency import ConsistencyShape, Held, RunningConsistency
from vidperc.models.recurrent import Before, RecurrentShape, RunningRecurrent
from vidperc.ops.resize import resize
from vidperc.ops.warp import warp

# No network is said to need more: a segment would be read twice for it.
MOST_FRAMES = 96

# What two runs may differ in: half a code of 8 bits.
_UNSEEN = 0.5 / 255

# Frames by which the second run begins later, and within which they must stay alike once they are.
_LATER, _ALIKE = 8, 8

# Other clips remember longer than those that were tried: this share more, and this many frames.
_SHARE, _FRAMES = 0.25, 4

_SIDE = 48

# Pixels a frame, across and down: what stands still is remembered longest.
_SPEEDS = ((0.0, 0.0), (1.0, 0.0), (-0.6, 0.35))

# Detail of a network that invents: standard deviation in units of the picture.
_INVENTED = 0.06

# Of the stage `steady`: what less of it remembers is forgotten sooner.
_USUAL_STRENGTH = 0.9

S = TypeVar("S")

# A frame (1,1,side,side), its flow and what the frame before left, to what is shown and what that leaves.
Step = Callable[[Tensor, Tensor, S | None], tuple[Tensor, S]]


def measure_settle(shape: RecurrentShape, weights: Mapping[str, Tensor]) -> int:
    """Frames after which a run of the network no longer shows when it began, with a margin.

    weights: as `TrainableRecurrent.folded` gives them.
    Clips of three textures under noise, which stand still or move, are each enlarged twice, once begun some frames
    later. It is settled as soon as, from there on, no pixel differs by half a code of 8 bits. At most
    MOST_FRAMES, also for a network that takes longer or never forgets: then borders of segments may show by more.
    """
    running = RunningRecurrent(shape, weights, precision=torch.float32, device=torch.device("cpu"))
    side = _SIDE * shape.scale

    def step(luma: Tensor, flow: Tensor, before: Before | None) -> tuple[Tensor, Before]:
        base = resize(luma, (side, side), "bicubic")
        details, left = running.step(luma, base, flow, torch.ones_like(luma), before, tile=0)
        return base + details, left

    return _settled(step)


def measure_consistency_settle(shape: ConsistencyShape, weights: Mapping[str, Tensor]) -> int:
    """The same for a consistency network at the usual strength, holding detail that is another in each frame."""
    running = RunningConsistency(shape, weights, precision=torch.float32, device=torch.device("cpu"))
    side = 2 * _SIDE

    def step(luma: Tensor, flow: Tensor, before: Held | None) -> tuple[Tensor, Held]:
        base = resize(luma, (side, side), "bicubic")
        # By the frame, so that both runs are given the same.
        chance = torch.Generator().manual_seed(int(luma.double().sum() * 1e6) % (1 << 40))
        invented = _INVENTED * torch.randn((1, 1, side, side), generator=chance)
        return running.step(luma, base, invented, flow, torch.ones_like(luma), before, strength=_USUAL_STRENGTH, tile=0)

    return _settled(step)


def _settled(step: Step[S]) -> int:
    taken = max(_frames_until_alike(step, speed, texture) for speed in _SPEEDS for texture in _textures())
    return min(MOST_FRAMES, taken + ceil(taken * _SHARE) + _FRAMES)


@torch.inference_mode()
def _frames_until_alike(step: Step[S], speed: tuple[float, float], texture: Tensor) -> int:
    first: S | None = None
    second: S | None = None
    taken = alike = 0
    for number, (luma, flow) in enumerate(_moving(texture, speed)):
        shown, first = step(luma, flow, first)
        if number < _LATER:
            continue
        other, second = step(luma, flow, second)
        same = float((shown - other).abs().max()) < _UNSEEN
        alike = alike + 1 if same else 0
        taken = taken if same else number + 1 - _LATER
        if alike == _ALIKE or taken >= MOST_FRAMES:
            break
    return taken


def _textures() -> Iterator[Tensor]:
    """A smooth one, a fine one, and blocks of black and white, (1,1,side,side) in [0,1].

    Smooth ones have little that could replace what is remembered; at hard edges the most is made, and so remembered.
    """
    chance = torch.Generator().manual_seed(0)
    smooth = F.interpolate(torch.rand((1, 1, 6, 6), generator=chance), size=(_SIDE, _SIDE), mode="bicubic")
    fine = torch.rand((1, 1, _SIDE, _SIDE), generator=chance)
    yield 0.95 * smooth + 0.05 * fine
    yield 0.6 * smooth + 0.4 * fine
    yield F.interpolate((torch.rand((1, 1, _SIDE // 2, _SIDE // 2), generator=chance) > 0.5).float(), scale_factor=2)


def _moving(texture: Tensor, speed: tuple[float, float]) -> Iterator[tuple[Tensor, Tensor]]:
    """Frames (1,1,side,side) in [0,1] of a texture that moves so, under noise that does not; and their flow."""
    chance = torch.Generator().manual_seed(0)
    endless = F.pad(texture, (_SIDE // 2,) * 4, mode="circular")  # (1, 1, 2*side, 2*side)
    while True:
        yield from _round_trip(endless, speed, chance)


def _round_trip(
    texture: Tensor, speed: tuple[float, float], chance: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """There and back again, so that the texture never ends."""
    steps = _SIDE // 2 - 2
    for number in range(2 * steps):
        place = number if number <= steps else 2 * steps - number
        way = 1 if 0 < number <= steps else -1
        offset = torch.tensor(speed).view(1, 2, 1, 1) * place
        seen = warp(texture, offset.expand(1, 2, *texture.shape[2:]), mode="bicubic")
        middle = slice(_SIDE // 2, _SIDE // 2 + _SIDE)
        frame = seen[..., middle, middle] + 0.02 * (torch.rand((1, 1, _SIDE, _SIDE), generator=chance) - 0.5)
        # What is seen at p was, a frame ago, where the texture's window had not yet moved on.
        flow = (torch.tensor(speed) * way).view(1, 2, 1, 1).expand(1, 2, _SIDE, _SIDE).contiguous()
        yield frame.clamp(0, 1), flow
