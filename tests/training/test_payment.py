from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.losses.adversarial import Adversarial
from vidperc.losses.kl import Kl
from vidperc.losses.objective import Objective
from vidperc.losses.ping_pong import PingPong
from vidperc.losses.pixel import L1, Charbonnier
from vidperc.losses.sample import Sample
from vidperc.losses.structure import Ssim
from vidperc.losses.term import Term
from vidperc.losses.video_feature import VideoFeature
from vidperc.losses.warp_loss import Warp
from vidperc.models.luma import LumaShape
from vidperc.models.recurrent import RecurrentShape
from vidperc.ops.color import rgb_luma
from vidperc.ops.resize import resize
from vidperc.training import payment as payment_module
from vidperc.training.clip_batch import ClipBatch
from vidperc.training.luma import luma_loss
from vidperc.training.payment import check_payable, pay_for, pay_for_luma
from vidperc.training.students import build, enlarged


class Gives(nn.Module):
    """A network that always gives the same pictures."""

    def __init__(self, made: Tensor) -> None:
        super().__init__()
        self.made = made

    def forward(self, _: Tensor) -> Tensor:
        return self.made.flatten(0, 1)


def clips(frames: int, scale: int = 2, side: int = 16) -> ClipBatch:
    chance = torch.Generator().manual_seed(0)
    small, large = (torch.rand(2, frames, 3, n, n, generator=chance) for n in (side, side * scale))
    visible = torch.ones(2, frames, 1, side, side)
    visible[:, 0] = 0
    return ClipBatch(small, large, torch.zeros(2, frames, 2, side, side), visible)


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Still pictures are looked at from their first pixel."""
    monkeypatch.setattr(payment_module, "_SHIFTS", 0)


@pytest.mark.usefixtures("whole")
def test_an_objective_sees_what_the_network_makes() -> None:
    batch = clips(1)
    both = pay_for(Objective.open([L1(), Ssim(weight=0.5)]))
    assert float(both(Gives(batch.large), batch).total) == pytest.approx(0, abs=1e-5)
    wrong = both(Gives(1 - batch.large), batch)
    assert float(wrong.named["l1"]) == pytest.approx(float((1 - 2 * batch.large).abs().mean()), rel=1e-5)
    assert wrong.judged is None


@pytest.mark.usefixtures("whole")
def test_grey_is_the_luma_that_networks_of_our_own_make() -> None:
    torch.manual_seed(0)
    network, batch = build(LumaShape(scale=2, channels=8, depth=1), expand=0), clips(1)
    grey = pay_for(Objective.open([Charbonnier(epsilon=1e-3)]), seen="grey")
    alone = luma_loss(network, batch.small[:, 0], batch.large[:, 0])
    torch.testing.assert_close(grey(network, batch).total, alone)
    torch.testing.assert_close(pay_for_luma(network, batch).total, alone)


@pytest.mark.parametrize(
    "shape", [LumaShape(scale=2, channels=8, depth=1), RecurrentShape(scale=2, channels=8, depth=1, state=4)]
)
def test_details_go_on_all_three_channels_of_bicubic(shape: LumaShape) -> None:
    torch.manual_seed(0)
    network, batch = build(shape, expand=2), clips(3)
    made = enlarged(network, batch)
    assert made.shape == batch.large.shape
    base = resize(batch.small.flatten(0, 1), (32, 32), "bicubic").reshape(made.shape)
    added = made - base
    assert float(added.abs().max()) > 1e-3
    torch.testing.assert_close(added, rgb_luma(added).expand_as(added), atol=1e-6, rtol=0)


def test_a_clip_pays_along_its_motion_and_what_is_judged_carries_no_gradient() -> None:
    torch.manual_seed(0)
    network, batch = build(LumaShape(scale=2, channels=8, depth=1), expand=0), clips(3)
    objective = Objective.open([L1(), Warp(weight=2), Adversarial(layers=1, channels=4, discriminator="temporal")])
    paid = pay_for(objective)(network, batch)
    assert set(paid.named) == {"l1", "warp", "adversarial"}
    assert paid.judged is not None and not paid.judged.out.requires_grad
    paid.total.backward()
    assert all(value.grad is not None for value in network.parameters())
    # Gradients go to the network alone until the discriminators are asked.
    assert all(value.grad is None for value in objective.discriminators.parameters())
    still = replace(batch, visible=torch.zeros_like(batch.visible))
    assert float(pay_for(objective)(network, still).named["warp"]) == 0


def test_an_adaptive_term_is_given_the_last_layer() -> None:
    torch.manual_seed(0)
    network, batch = build(LumaShape(scale=2, channels=8, depth=1), expand=2), clips(1)
    objective = Objective.open([L1(), Adversarial(layers=1, channels=4, adaptive=True)])
    pay_for(objective)(network, batch).total.backward()


@pytest.mark.parametrize(
    ("term", "frames", "told"),
    [
        (Warp(), 1, "warp needs clip, motion, got single pictures; leave it out, or give the recipe `clips`"),
        (PingPong(), 3, "ping-pong needs back, got clips of 3 frames"),
        (Kl(reduction="mean"), 1, "kl needs latent, got single pictures"),
        (VideoFeature(), 3, "video-feature: own: got a clip of 3 frames, wanted at least 4; change `frames`"),
    ],
)
def test_a_term_that_needs_what_there_is_not_is_refused(term: Term, frames: int, told: str) -> None:
    with pytest.raises(VidpercError, match=f"objective: {told}"):
        check_payable(Objective.open([term]), frames=frames)


def test_stills_are_looked_at_from_another_pixel_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    objective = Objective.open([L1()])
    measure = objective.measure

    def noted(sample: Sample) -> dict[str, Tensor]:
        seen.append(tuple(sample.out.shape[-2:]))
        assert sample.true is not None and sample.true.shape == sample.out.shape
        return measure(sample)

    monkeypatch.setattr(objective, "measure", noted)
    for number in range(40):
        batch = replace(clips(1), number=number)
        paid = pay_for(objective)(Gives(batch.large), batch)
        assert float(paid.total) == 0
    # Up to eight rows and columns less of 32, and as many odd ones as even ones.
    assert {side for sides in seen for side in sides} == set(range(25, 33))
    again = len(seen)
    pay_for(objective)(Gives(clips(1).large), replace(clips(1), number=3))
    assert seen[again] == seen[3]
