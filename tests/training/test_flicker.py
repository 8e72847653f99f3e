"""Clips that are made to flicker."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vidperc.ops.color import rgb_luma
from vidperc.ops.resize import resize
from vidperc.training.clip_batch import ClipBatch
from vidperc.training.flicker import Flicker, FlickerBatch

COUNT, FRAMES, SIDE = 12, 4, 24


@pytest.fixture(scope="module")
def flicker() -> Flicker:
    torch.set_num_threads(1)
    return Flicker()


def still(count: int = COUNT) -> ClipBatch:
    """Clips in which nothing moves."""
    chance = torch.Generator().manual_seed(0)
    large = torch.rand((count, 3, SIDE // 2, SIDE // 2), generator=chance)
    large = resize(large, (2 * SIDE, 2 * SIDE), "bicubic").clamp(0, 1)
    small = resize(large, (SIDE, SIDE), "bicubic")
    large, small = (frames[:, None].repeat(1, FRAMES, 1, 1, 1) for frames in (large, small))
    flow = torch.zeros(count, FRAMES, 2, SIDE, SIDE)
    return ClipBatch(small, large, flow, torch.ones_like(flow[:, :, :1]))


def changes(frames: Tensor) -> Tensor:
    """How much each clip (N,T,1,H,W) changes from frame to frame, in codes."""
    return 255 * frames.diff(dim=1).square().mean((1, 2, 3, 4)).sqrt()


@pytest.fixture(scope="module")
def batch(flicker: Flicker) -> FlickerBatch:
    return flicker(still(), range(COUNT), seed=0)


def test_what_is_made_flickers_and_what_is_wanted_does_not(batch: FlickerBatch) -> None:
    assert batch.made.shape == batch.wanted.shape == (COUNT, FRAMES, 1, 2 * SIDE, 2 * SIDE)
    assert torch.equal(batch.source, rgb_luma(still().small))
    assert float(changes(batch.wanted).max()) < 1e-4
    flickers = changes(batch.made)
    assert float(flickers.min()) > 0.2 and float(flickers.max()) > 4 > float(flickers.median())


def test_what_is_wanted_is_near_the_mean_of_what_is_made(batch: FlickerBatch) -> None:
    """Nothing that stays is taken for flicker: what is made is off by as much to one side as to the other."""
    offset = (batch.made - batch.wanted).mean()
    assert abs(float(offset)) < 0.5 / 255
    apart = (batch.made - batch.wanted).square().mean((1, 2, 3, 4)).sqrt()
    assert float(apart.max()) < 0.1


def test_every_clip_has_a_manner_of_its_own(batch: FlickerBatch) -> None:
    clips = still()
    small, large = rgb_luma(clips.small[:, 0]), rgb_luma(clips.large[:, 0])
    base = resize(small, (2 * SIDE, 2 * SIDE), "bicubic")
    true = (large - base).square().mean((1, 2, 3)).sqrt()
    manner = (batch.wanted[:, 0] - base).square().mean((1, 2, 3)).sqrt() / true
    assert float(manner.max()) > 1.2 and float(manner.min()) < 0.9


def test_a_clip_depends_on_its_number_and_the_seed_alone(flicker: Flicker, batch: FlickerBatch) -> None:
    clips = still()
    part = ClipBatch(clips.small[5:7], clips.large[5:7], clips.flow[5:7], clips.visible[5:7])
    again = flicker(part, range(5, 7), seed=0)
    assert torch.equal(again.made, batch.made[5:7]) and torch.equal(again.wanted, batch.wanted[5:7])
    assert not torch.equal(flicker(part, range(5, 7), seed=1).made, again.made)
    assert not torch.equal(flicker(part, range(6, 8), seed=0).made, again.made)
