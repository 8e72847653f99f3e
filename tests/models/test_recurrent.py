"""Recurrent networks: what they see, what they give, and how they learn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.recurrent_files import SHAPE, recurrent_network
from vidperc.errors import VidpercError
from vidperc.models.luma import LumaShape, RunningLuma, TrainableLuma
from vidperc.models.recurrent import (
    KEPT_AT_MOST,
    Before,
    RecurrentShape,
    RunningRecurrent,
    carried,
    looked_back,
)
from vidperc.models.settle import MOST_FRAMES, measure_settle
from vidperc.models.trainable_recurrent import TrainableRecurrent, begin_with_image_network
from vidperc.models.weights import LumaNetwork, read_network
from vidperc.models.zoo import weights_path
from vidperc.ops.resize import resize

CPU = torch.device("cpu")
HEIGHT, WIDTH = 37, 50


@pytest.fixture(autouse=True)
def _one_thread_and_the_same_numbers_every_time() -> Iterator[None]:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def clip(frames: int = 4, count: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Luma (N,T,1,h,w), flow and visible; the first frame of each has nothing before it.

    Of little contrast: frames mostly agree where the flow leads, and here and there they do not.
    """
    luma = 0.4 + 0.2 * torch.rand(count, frames, 1, HEIGHT, WIDTH)
    flow = 2 * torch.randn(count, frames, 2, HEIGHT, WIDTH)
    visible = (torch.rand(count, frames, 1, HEIGHT, WIDTH) > 0.2).float()
    flow[:, 0], visible[:, 0] = 0, 0
    return luma, flow, visible


def enlarged(luma: Tensor, scale: int = 2) -> Tensor:
    return resize(luma, (scale * luma.shape[-2], scale * luma.shape[-1]), "bicubic")


def run(
    running: RunningRecurrent, luma: Tensor, flow: Tensor, visible: Tensor, *, tile: int = 0
) -> tuple[Tensor, Tensor]:
    """What it adds to the frames of one clip, (T,1,H,W), and its hidden state after each, (T,state,h,w)."""
    before: Before | None = None
    made: list[Tensor] = []
    kept: list[Tensor] = []
    for frame, vectors, mask in zip(luma[0], flow[0], visible[0], strict=True):
        frame = frame[None]
        details, before = running.step(
            frame, enlarged(frame, running.shape.scale), vectors[None], mask[None], before, tile=tile
        )
        made.append(details)
        kept.append(before.hidden)
    return torch.cat(made), torch.cat(kept)


def left_behind() -> Before:
    """What a frame of other numbers would have left, near enough to those of `clip` for its memory to count."""
    return Before(
        0.48 + 0.04 * torch.rand(1, 1, HEIGHT, WIDTH),
        torch.rand(1, 1, 2 * HEIGHT, 2 * WIDTH),
        2 * torch.rand(1, SHAPE.state, HEIGHT, WIDTH) - 1,
    )


def running(network: TrainableRecurrent, precision: torch.dtype = torch.float32) -> RunningRecurrent:
    return RunningRecurrent(network.shape, network.folded(), precision=precision, device=CPU)


def test_the_shape_counts_parameters_and_reach_of_what_runs() -> None:
    network = recurrent_network(expand=2)
    assert network.shape.parameters == sum(tensor.numel() for tensor in network.folded().values())
    # One layer more between what is seen and what is remembered of it.
    assert network.shape.reach == LumaShape(scale=2, channels=12, depth=2).reach + 1


def test_the_memory_is_carried_to_where_it_is_now() -> None:
    """All moves one pixel to the right."""
    before = Before(torch.rand(1, 1, 8, 10), torch.rand(1, 1, 16, 20), torch.rand(1, 3, 8, 10))
    flow = torch.zeros(1, 2, 8, 10)
    flow[:, 0] = -1
    base = torch.rand(1, 1, 16, 20)
    memory = carried(base, flow, before)
    assert memory.shape == (1, RecurrentShape(scale=2, channels=4, depth=0, state=3).remembered, 8, 10)
    details = F.pixel_unshuffle(before.picture.roll(2, dims=3) - base, 2)
    torch.testing.assert_close(memory[..., 1:][:, :4], details[..., 1:], atol=1e-5, rtol=0)
    torch.testing.assert_close(memory[..., 1:][:, 4:], before.hidden[..., :-1], atol=1e-5, rtol=0)


def test_the_first_frame_is_made_as_one_of_which_nothing_was_visible() -> None:
    luma, flow, _ = clip()
    before = left_behind()
    network, nothing = running(recurrent_network()), torch.zeros(1, 1, HEIGHT, WIDTH)
    (first, left), (later, kept) = (
        network.step(luma[:, 0], enlarged(luma[:, 0]), flow[:, 1], nothing, known, tile=0) for known in (None, before)
    )
    assert torch.equal(first, later)
    assert torch.equal(left.hidden, kept.hidden) and torch.equal(left.picture, kept.picture)


def test_where_a_flow_is_no_number_nothing_was_visible_and_nothing_breaks() -> None:
    luma, flow, visible = clip()
    flow[0, 2, :, 10:20, 10:20], visible[0, 2, :, 6:24, 6:24] = torch.nan, 0
    made, _ = run(running(recurrent_network()), luma, flow, visible)
    assert bool(made.isfinite().all())
    flow[0, 2, :, 10:20, 10:20] = 0
    assert torch.equal(run(running(recurrent_network()), luma, flow, visible)[0], made)


@pytest.mark.parametrize("size", [(20, 26), (74, 100)])
def test_motion_of_another_size_is_resized(size: tuple[int, int]) -> None:
    luma = 0.45 + 0.1 * torch.rand(1, 1, HEIGHT, WIDTH)
    before, network = left_behind(), running(recurrent_network())
    made: list[Tensor] = []
    for height, width in (size, (HEIGHT, WIDTH)):
        flow = torch.tensor([2.0 * width / WIDTH, 1.0 * height / HEIGHT]).view(1, 2, 1, 1)
        flow, visible = flow.expand(1, 2, height, width).contiguous(), torch.ones(1, 1, height, width)
        details, left = network.step(luma, enlarged(luma), flow, visible, before, tile=0)
        made.append(torch.cat([details, left.picture]))
    torch.testing.assert_close(made[0], made[1], atol=1e-4, rtol=0)  # vectors round at about 1e-6 of a pixel


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [2, 4])
def test_tiles_give_the_bits_of_the_whole_frame(scale: int, precision: torch.dtype) -> None:
    network = recurrent_network(RecurrentShape(scale=scale, channels=12, depth=2, state=3))
    parts = clip()
    whole, hidden = run(running(network, precision), *parts)
    for tile in (8, 16, 40, 100):
        made, kept = run(running(network, precision), *parts, tile=tile)
        assert torch.equal(made, whole) and torch.equal(kept, hidden)


def test_all_that_is_remembered_counts() -> None:
    """So that the tests of cuts and tiles can fail."""
    network, (luma, flow, visible) = recurrent_network(), clip()
    made, _ = run(running(network), luma, flow, visible)
    alone, _ = run(running(network), luma, flow, torch.zeros_like(visible))
    assert torch.equal(made[0], alone[0])
    assert float((made[1] - alone[1]).abs().max()) > 0.01
    shape, weights = network.shape, network.folded()
    for part in (slice(0, 4), slice(4, None)):  # the picture, which is also shown as it is; the hidden state
        changed = {name: tensor.clone() for name, tensor in weights.items()}
        changed[f"{shape.middle + 1}.weight"][:, shape.channels :][:, part] = 0
        other = RunningRecurrent(shape, changed, precision=torch.float32, device=CPU)
        forgetful, _ = run(other, luma, flow, visible)
        assert float((made[1] - forgetful[1]).abs().max()) > 0.001


def test_memory_counts_as_far_as_the_frames_agree() -> None:
    """All of it is asked for; where motion leads to a frame that differs by much, it is as if it had not been there."""
    shape, weights = echo(1e4)
    echoing = RunningRecurrent(shape, weights, precision=torch.float32, device=CPU)
    luma, still, seen = (
        torch.rand(1, 1, HEIGHT, WIDTH),
        torch.zeros(1, 2, HEIGHT, WIDTH),
        torch.ones(1, 1, HEIGHT, WIDTH),
    )
    _, left = echoing.step(luma, luma, still, seen, None, tile=0)
    for apart, agreed in ((0.0, 1.0), (0.08, 1.0), (0.12, 0.5), (-0.14, 0.25), (0.16, 0.0), (-0.4, 0.0)):
        before = Before(luma + apart, left.picture + 0.3, torch.zeros(1, 0, HEIGHT, WIDTH))
        shown, kept = echoing.step(luma, luma, still, seen, before, tile=0)
        # An echo's details are all memory; what is new of that is a tenth of its luma.
        torch.testing.assert_close(shown, (left.picture - luma + 0.3) * agreed, atol=1e-4, rtol=0)
        torch.testing.assert_close(kept.picture, left.picture + 0.3 * KEPT_AT_MOST * agreed, atol=1e-4, rtol=0)


def test_what_is_hidden_says_nothing_of_what_is_beside_it() -> None:
    """A column that alone is visible, and differs."""
    luma, still = torch.full((1, 1, 9, 9), 0.5), torch.zeros(1, 2, 9, 9)
    seen = torch.zeros(1, 1, 9, 9)
    seen[..., 4] = 1
    for apart, agreed in ((0.05, 1.0), (0.12, 0.5), (0.2, 0.0)):
        difference, there = looked_back(luma, still, seen, luma + apart)
        torch.testing.assert_close(there, seen * agreed, atol=1e-4, rtol=0)
        torch.testing.assert_close(difference, seen * agreed * apart, atol=1e-4, rtol=0)


def test_noise_is_no_disagreement() -> None:
    """Pixels that differ by far more than may be, one up and one down, beside those that do not."""
    shape, weights = echo(1e4)
    echoing = RunningRecurrent(shape, weights, precision=torch.float32, device=CPU)
    luma, still, seen = torch.full((1, 1, 9, 9), 0.5), torch.zeros(1, 2, 9, 9), torch.ones(1, 1, 9, 9)
    _, left = echoing.step(luma, luma, still, seen, None, tile=0)
    past = luma.clone()
    past[..., 1::3, 1::3], past[..., 1::6, 1::6] = 0.8, 0.2  # .3 in one of nine
    before = Before(past, left.picture + 0.3, torch.zeros(1, 0, 9, 9))
    shown, _ = echoing.step(luma, luma, still, seen, before, tile=0)
    torch.testing.assert_close(shown, left.picture - luma + 0.3, atol=1e-4, rtol=0)


@pytest.mark.parametrize("asked", [0.0, 1e4])
def test_two_runs_draw_together_whatever_the_weights_are(asked: float) -> None:
    """Each frame leaves at most four fifths of what they differ by, also where all is asked to be kept."""
    torch.manual_seed(1)
    network = recurrent_network()
    shape, weights = network.shape, {name: 3 * tensor for name, tensor in network.folded().items()}
    weights[f"{shape.middle}.bias"][shape.remembered :] += asked
    runs = RunningRecurrent(shape, weights, precision=torch.float32, device=CPU)
    still, seen = torch.zeros(1, 2, HEIGHT, WIDTH), torch.ones(1, 1, HEIGHT, WIDTH)
    one, other = left_behind(), left_behind()
    apart = float("inf")
    for _ in range(12):
        luma = 0.5 + 0.05 * torch.rand(1, 1, HEIGHT, WIDTH)
        one, other = (runs.step(luma, enlarged(luma), still, seen, left, tile=0)[1] for left in (one, other))
        parts = zip((one.picture, one.hidden), (other.picture, other.hidden), strict=True)
        now = max(float((mine - theirs).abs().max()) for mine, theirs in parts)
        assert now <= KEPT_AT_MOST * apart + 1e-5
        apart = now
    if asked:
        assert apart > 0.5 * KEPT_AT_MOST**12, "the bound must be one that is reached"


def test_the_hidden_state_stays_within_its_bounds() -> None:
    network = recurrent_network()
    with torch.no_grad():
        network.convolutions()[SHAPE.middle].weight.mul_(100)
    _, hidden = run(running(network), *clip())
    assert (float(hidden.min()), float(hidden.max())) == (-1, 1)


def test_the_trainable_network_gives_what_the_running_one_gives() -> None:
    network, parts = recurrent_network(expand=2), clip()
    with torch.no_grad():
        trained = F.pixel_shuffle(network(*parts)[0], 2)
    assert trained.dtype == torch.float32
    made, _ = run(running(network, torch.bfloat16), *parts)
    # Both round to 8 bits in every layer, but need not use the same kernels; and what was made comes back.
    torch.testing.assert_close(trained, made, atol=0.02 * float(made.abs().max()), rtol=0)


def test_frames_ahead_are_run_through_and_not_learnt_from() -> None:
    network, (luma, flow, visible) = recurrent_network(), clip()
    luma.requires_grad_()
    whole, part = network(luma, flow, visible), network(luma, flow, visible, ahead=2)
    # A warp without gradients rounds otherwise, and bfloat16 makes more of that.
    torch.testing.assert_close(part, whole[:, 2:], atol=0.02 * float(whole.abs().max()), rtol=0)
    part.square().sum().backward()
    assert luma.grad is not None
    assert not luma.grad[:, :2].any() and bool(luma.grad[:, 2:].any())


def test_clips_of_a_batch_do_not_see_each_other() -> None:
    network, (luma, flow, visible) = recurrent_network(), clip(count=3)
    with torch.no_grad():
        together = network(luma, flow, visible)
        alone = network(luma[1:2], flow[1:2], visible[1:2])
    torch.testing.assert_close(together[1:2], alone, atol=0.02 * float(alone.abs().max()), rtol=0)


def test_gradients_go_back_through_all_frames_and_never_into_the_flow() -> None:
    """What the last frame makes depends on the first one's luma: through the output before, and the state alone."""
    network, (luma, flow, visible) = recurrent_network(), clip()
    luma.requires_grad_()
    flow.requires_grad_()
    details = network(luma, flow, visible)
    assert details.shape == (1, 4, 4, HEIGHT, WIDTH)
    details[:, -1].square().sum().backward()
    assert luma.grad is not None and flow.grad is None
    assert all(float(luma.grad[:, t].abs().sum()) > 0 for t in range(4))
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())
    seen_of_state = network.convolutions()[SHAPE.middle + 1].weight.grad
    assert seen_of_state is not None and seen_of_state[:, -SHAPE.state :].any()


def test_a_clip_whose_frames_are_all_new_goes_back_no_further_than_each() -> None:
    network, (luma, flow, visible) = recurrent_network(), clip()
    luma.requires_grad_()
    network(luma, flow, torch.zeros_like(visible))[:, -1].square().sum().backward()
    assert luma.grad is not None
    assert not luma.grad[:, :-1].any() and bool(luma.grad[:, -1].any())


def test_it_learns_to_take_from_the_frames_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A still scene under noise: what a first frame cannot know, later ones can average away."""
    monkeypatch.setattr("vidperc.models.recurrent._SAME", 1.0)  # so much noise would pass for other things
    scene = F.interpolate(torch.rand(4, 1, 8, 8), scale_factor=8, mode="bicubic")  # (N, 1, 2*h, 2*w)
    small = F.avg_pool2d(scene, 2)[:, None].expand(4, 6, 1, 32, 32)
    flow, visible = torch.zeros(4, 6, 2, 32, 32), torch.ones(4, 6, 1, 32, 32)
    visible[:, 0] = 0
    network = TrainableRecurrent(RecurrentShape(scale=2, channels=8, depth=1, state=2), expand=0)
    steps = torch.optim.Adam(network.parameters(), lr=5e-3)

    def wrong() -> Tensor:
        """The mean squared error of each frame, (T,), under new noise."""
        luma = small + 0.1 * torch.randn(small.shape)
        base = enlarged(luma.flatten(0, 1))
        wanted = F.pixel_unshuffle(scene.repeat_interleave(6, dim=0) - base, 2).view(4, 6, 4, 32, 32)
        return (network(luma, flow, visible) - wanted).square().mean(dim=(0, 2, 3, 4))

    for _ in range(120):
        steps.zero_grad()
        wrong().mean().backward()
        steps.step()
    with torch.no_grad():
        found = wrong()
    assert float(found[-2:].mean()) < 0.6 * float(found[0])


def image_network() -> TrainableLuma:
    network = TrainableLuma(LumaShape(scale=2, channels=12, depth=2), expand=2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    return network


@pytest.mark.parametrize("expand", [0, 2])
def test_begun_with_an_image_network_it_has_its_weights_and_none_for_what_is_new(expand: int) -> None:
    image, network = image_network(), TrainableRecurrent(SHAPE, expand=expand)
    begin_with_image_network(network, image.folded())
    made, wanted = network.folded(), image.folded()
    places = [place for place in range(5) if place != SHAPE.middle]
    for of_image, place in enumerate(places):
        weight, bias = wanted[f"{of_image}.weight"], wanted[f"{of_image}.bias"]
        outputs, inputs = weight.shape[:2]
        got = made[f"{place}.weight"]
        assert torch.equal(got[:outputs, :inputs], weight) and torch.equal(made[f"{place}.bias"][:outputs], bias)
        assert not got[outputs:].any() and not got[:, inputs:].any()
    assert made[f"{SHAPE.middle}.weight"].any()


@pytest.mark.parametrize("name", ["", "fast-x2"])
def test_begun_with_an_image_network_it_gives_its_picture(name: str) -> None:
    shape, weights = LumaShape(scale=2, channels=12, depth=2), image_network().folded()
    if name:
        shipped = read_network(weights_path(name))
        assert isinstance(shipped, LumaNetwork)
        shape, weights = shipped.shape, shipped.weights
    network = TrainableRecurrent(RecurrentShape(scale=2, channels=shape.channels, depth=shape.depth, state=3), expand=2)
    begin_with_image_network(network, weights)
    luma, flow, visible = clip()
    details, hidden = run(running(network), luma, flow, visible)
    image = RunningLuma(shape, weights, precision=torch.float32, device=CPU)
    for number, (frame, made) in enumerate(zip(luma[0], details, strict=True)):
        wanted = torch.zeros(1, 1, 2 * HEIGHT, 2 * WIDTH)
        image.add_to(wanted, frame[None], tile=0)
        # The same sums with zeros among them, which a kernel for another number of channels adds in another order; and
        # later frames show a fortieth of the memory.
        remembered = 0.03 * float(made.abs().max()) + 0.1 if number else 0
        torch.testing.assert_close(made[None], wanted, atol=2e-6 + remembered, rtol=0)
    assert float(hidden.std()) > 0.01, "there is something to learn from"


def test_an_image_network_of_another_shape_is_refused() -> None:
    network = TrainableRecurrent(RecurrentShape(scale=2, channels=12, depth=3, state=3), expand=0)
    wanted = "wanted a luma network of scale 2, 12 channels and depth 3"
    with pytest.raises(VidpercError, match=wanted):
        begin_with_image_network(network, image_network().folded())


def echo(asked: float) -> tuple[RecurrentShape, dict[str, Tensor]]:
    """Remembers its luma, keeps as much of what it remembers as is asked for, and shows all of it."""
    shape = RecurrentShape(scale=1, channels=4, depth=0, state=0)
    weights = {f"{place}.weight": torch.zeros(o, i, 3, 3) for place, (i, o) in enumerate(shape.widths())}
    weights |= {f"{place}.bias": torch.zeros(o) for place, (_, o) in enumerate(shape.widths())}
    for channel, sign in enumerate((1.0, -1.0)):  # a ReLU of each sign
        weights["0.weight"][channel, 0, 1, 1] = sign
        weights["1.weight"][0, channel, 1, 1] = 0.1 * sign
    weights["1.bias"][1], weights["2.bias"][1] = asked, 1e4
    return shape, weights


@pytest.mark.parametrize(("asked", "least", "most"), [(-1e4, 6, 6), (0.0, 10, 16), (1e4, 25, 48)])
def test_settling_takes_as_long_as_what_is_remembered_is_kept(asked: float, least: int, most: int) -> None:
    """Begun later, it lacks at most what moves in over the border, the whole range; half a code is a 510th of that.

    Nothing kept shows for one frame; .4 for 7, .8 for 28, some more or less as the warp overshoots; then the margin.
    """
    assert least <= measure_settle(*echo(asked)) <= most


def test_what_does_not_settle_is_said_to_need_the_most_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidperc.models.recurrent.KEPT_AT_MOST", 1.0)
    assert measure_settle(*echo(1e4)) == MOST_FRAMES
