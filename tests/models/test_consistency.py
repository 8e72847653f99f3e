"""The consistency network: what it sees and gives, that it begins as the blend by hand, and how it learns."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tests.consistency_files import SHAPE, consistency_network
from vidperc.models.consistency import ConsistencyShape, Held, RunningConsistency, TrainableConsistency, look, settle_on
from vidperc.models.settle import MOST_FRAMES, measure_consistency_settle
from vidperc.ops.held import kept_share
from vidperc.ops.resize import resize
from vidperc.ops.warp import warp

CPU = torch.device("cpu")
HEIGHT, WIDTH = 37, 50


@pytest.fixture(autouse=True)
def _one_thread_and_the_same_numbers_every_time() -> Iterator[None]:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def clip(frames: int = 4, count: int = 1, scale: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What was made, (N,T,1,H,W), its source, flow and visible: a picture that drifts, under noise."""
    still = resize(torch.rand(count, 1, 8, 10), (HEIGHT, WIDTH), "bicubic").clamp(0, 1)
    source = torch.stack([still + 0.02 * torch.randn_like(still) for _ in range(frames)], dim=1)
    flow = torch.randn(count, frames, 2, HEIGHT, WIDTH)
    visible = (torch.rand(count, frames, 1, HEIGHT, WIDTH) > 0.1).float()
    flow[:, 0], visible[:, 0] = 0, 0
    large = [resize(source[:, t], (scale * HEIGHT, scale * WIDTH), "bicubic") for t in range(frames)]
    made = torch.stack(large, dim=1)
    return made + 0.05 * torch.randn_like(made), source, flow, visible


def run(
    network: TrainableConsistency,
    parts: tuple[Tensor, Tensor, Tensor, Tensor],
    *,
    precision: torch.dtype = torch.float32,
    tile: int = 0,
    strength: float = 0.9,
) -> Tensor:
    """The detail that is shown of the frames of one clip, (T,C,H,W)."""
    running = RunningConsistency(network.shape, network.folded(), precision=precision, device=CPU)
    before: Held | None = None
    shown: list[Tensor] = []
    for made, source, flow, visible in zip(*(part[0] for part in parts), strict=True):
        source = source[None]
        base = resize(source, (made.shape[-2], made.shape[-1]), "bicubic")
        detail, before = running.step(
            source, base, made[None] - base, flow[None], visible[None], before, strength=strength, tile=tile
        )
        shown.append(detail)
    return torch.cat(shown)


def by_hand(parts: tuple[Tensor, Tensor, Tensor, Tensor], strength: float) -> Tensor:
    """What the blend by hand shows of the same, written out again."""
    shown: list[Tensor] = []
    made, source, flow, visible = (part[0] for part in parts)
    for t in range(len(made)):
        size = made.shape[-2], made.shape[-1]
        detail = made[t : t + 1] - resize(source[t : t + 1], size, "bicubic")
        if t:
            from vidperc.clip import Motion

            motion = Motion(flow=flow[t : t + 1], visible=visible[t : t + 1])
            moved = warp(shown[-1], motion.at(*size).flow, mode="bicubic")
            share = kept_share(
                source[t : t + 1],
                source[t - 1 : t],
                motion.flow,
                motion.visible,
                detail,
                moved,
                most=0.9 * strength,
                tolerance=26,
            )
            detail = detail + share * (moved - detail)
        shown.append(detail)
    return torch.cat(shown)


def test_the_shape_counts_the_parameters_of_what_runs() -> None:
    network = consistency_network(expand=2)
    assert network.shape.parameters == sum(tensor.numel() for tensor in network.folded().values())


@pytest.mark.parametrize("strength", [1.0, 0.9, 0.4])
def test_before_it_learns_it_is_the_blend_by_hand(strength: float) -> None:
    parts = clip()
    shown = run(TrainableConsistency(SHAPE, expand=2), parts, strength=strength)
    wanted = by_hand(parts, strength)
    torch.testing.assert_close(shown, wanted, atol=2e-6, rtol=0)  # the same sums in another order
    alone = parts[0][0, 2] - resize(parts[1][0, 2:3], (2 * HEIGHT, 2 * WIDTH), "bicubic")
    assert float((shown[2] - alone).abs().max()) > 0.02, "and that is not the frame as it was"


def test_what_it_has_learnt_counts() -> None:
    """So that the tests of tiles and cuts can fail."""
    parts = clip()
    assert float((run(consistency_network(), parts) - by_hand(parts, 0.9)).abs().max()) > 0.005


def test_where_nothing_was_visible_the_new_detail_is_shown_to_the_bit() -> None:
    made, source, flow, visible = clip()
    visible[:, 2, :, :, : WIDTH // 2] = 0
    shown = run(consistency_network(), (made, source, flow, visible))
    new = made[0, 2:3] - resize(source[0, 2:3], (2 * HEIGHT, 2 * WIDTH), "bicubic")
    assert torch.equal(shown[2:3, ..., : WIDTH - 2], new[..., : WIDTH - 2])
    assert not torch.equal(shown[2:3, ..., WIDTH + 2 :], new[..., WIDTH + 2 :])


def test_where_a_flow_is_no_number_nothing_breaks() -> None:
    made, source, flow, visible = clip()
    flow[0, 2, :, 10:20, 10:20], visible[0, 2, :, 6:24, 6:24] = torch.nan, 0
    assert bool(run(consistency_network(), (made, source, flow, visible)).isfinite().all())


@pytest.mark.parametrize("answered", [-100.0, 100.0])
def test_no_answer_holds_more_than_can_be_forgotten_or_adds_more_than_4_codes(answered: float) -> None:
    detail, held = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    source, visible = torch.full((1, 1, 4, 4), 0.5), torch.ones(1, 1, 4, 4)
    base = torch.full((1, 1, 8, 8), 0.5)
    scene = look(source, base, detail, torch.zeros(1, 2, 4, 4), visible, Held(source, base, held))
    answer = torch.full((1, 8, 4, 4), answered)
    answer[:, 4:] = 0
    shown = settle_on(scene, answer, 1.0)
    assert float(shown.min()) >= 0 and float(shown.max()) <= 0.951
    answer[:, 4:] = answered
    assert float((settle_on(scene, answer, 1.0) - shown).abs().max()) <= 1 / 64 + 1e-6


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_tiles_give_the_bits_of_the_whole_frame(precision: torch.dtype) -> None:
    parts = clip()
    for channels in (16, 32):
        network = TrainableConsistency(ConsistencyShape(channels=channels, depth=2), expand=0)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.05 * torch.randn(parameter.shape)
        whole = run(network, parts, precision=precision)
        for tile in (8, 16, 40, 100):
            assert torch.equal(run(network, parts, precision=precision, tile=tile), whole)


def test_rgb_is_held_by_its_luma_all_channels_alike() -> None:
    """Of a grey picture, what three equal channels show is what one shows."""
    made, source, flow, visible = clip(scale=1)
    grey = run(consistency_network(), (made, source, flow, visible))
    wide = (made.expand(-1, -1, 3, -1, -1), source.expand(-1, -1, 3, -1, -1).contiguous(), flow, visible)
    shown = run(consistency_network(), wide)
    assert shown.shape[1] == 3 and grey.shape[-2:] == (HEIGHT, WIDTH), "also where sides are odd"
    torch.testing.assert_close(shown, grey.expand(-1, 3, -1, -1), atol=1e-4, rtol=0)  # the luma of grey is rounded


def test_training_sees_what_running_does() -> None:
    parts = clip()
    network = consistency_network(expand=2)
    made, source, flow, visible = parts
    with torch.no_grad():
        out = network(made, source, flow, visible, 0.9)[0]
    base = resize(source[0], (2 * HEIGHT, 2 * WIDTH), "bicubic")
    torch.testing.assert_close(out, base + run(network, parts, precision=torch.bfloat16), atol=4e-3, rtol=0)


def test_gradients_reach_every_layer_through_what_is_held() -> None:
    network = consistency_network(expand=2)
    made, source, flow, visible = clip()
    # Of the last frame alone: what the frames before were made of counts.
    made.requires_grad_(True)
    network(made, source, flow, visible)[:, -1].square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.abs().max() > 0) for p in network.parameters())
    assert made.grad is not None and bool(made.grad[:, 1].abs().max() > 0)


def test_one_that_has_not_learnt_anything_can_learn() -> None:
    network = TrainableConsistency(SHAPE, expand=2)
    made, source, flow, visible = clip()
    network(made, source, flow, visible).square().mean().backward()
    last = network.convolutions()[-1].bias.grad
    assert last is not None and bool((last.abs() > 0).all()), "both the shares and what is added"


def test_settling_is_measured() -> None:
    """The blend by hand forgets after log(1/256)/log(0.81) = 27 frames, and the margin is as much again at most."""
    network = TrainableConsistency(SHAPE, expand=0)
    taken = measure_consistency_settle(SHAPE, network.folded())
    assert 10 < taken <= 54 < MOST_FRAMES
    weights = network.folded()
    weights["2.bias"][:4] = -100  # nothing is ever held
    assert measure_consistency_settle(SHAPE, weights) < 8 < taken
