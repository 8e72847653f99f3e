"""How long a recurrent network remembers where it began."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

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


def measure_settle(shape: RecurrentShape, weights: Mapping[str, Tensor]) -> int:
    """Frames after which a run of the network no longer shows when it began, with a margin.

    weights: as `TrainableRecurrent.folded` gives them.
    Clips of three textures under noise, which stand still or move, are each enlarged twice, once begun some frames
    later. It is settled as soon as, from there on, no pixel differs by half a code of 8 bits. At most
    MOST_FRAMES, also for a network that takes longer or never forgets: then borders of segments may show by more.
    """
    running = RunningRecurrent(shape, weights, precision=torch.float32, device=torch.device("cpu"))
    taken = max(_frames_until_alike(running, speed, texture) for speed in _SPEEDS for texture in _textures())
    return min(MOST_FRAMES, taken + ceil(taken * _SHARE) + _FRAMES)


@torch.inference_mode()
def _frames_until_alike(running: RunningRecurrent, speed: tuple[float, float], texture: Tensor) -> int:
    first: Before | None = None
    second: Before | None = None
    taken = alike = 0
    for number, (luma, flow) in enumerate(_moving(texture, speed)):
        base = resize(luma, (_SIDE * running.shape.scale, _SIDE * running.shape.scale), "bicubic")
        visible = torch.ones_like(luma)
        _, first = running.step(luma, base, flow, visible, first, tile=0)
        if number < _LATER:
            continue
        _, second = running.step(luma, base, flow, visible, second, tile=0)
        same = float((first.output - second.output).abs().max()) < _UNSEEN
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
