from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.losses.made_up import pictures
from vidperc.losses.adversarial import Adversarial, adaptive_weight, discriminator_loss, generator_loss, judged_by

GAMES = ("hinge", "non-saturating", "least-squares")
REAL, FAKE = torch.tensor([[2.0, 0.5]]).view(2, 1, 1, 1), torch.tensor([-1.5, 0.25]).view(2, 1, 1, 1)


def test_hinge_is_worked_out_by_hand() -> None:
    assert float(generator_loss([FAKE], game="hinge")) == pytest.approx((1.5 - 0.25) / 2)
    assert float(discriminator_loss([REAL], [FAKE], game="hinge")) == pytest.approx((0 + 0.5) / 2 + (0 + 1.25) / 2)


def test_least_squares_is_worked_out_by_hand() -> None:
    assert float(generator_loss([FAKE], game="least-squares")) == pytest.approx((2.5**2 + 0.75**2) / 4)
    wanted = (1 + 0.25) / 4 + (1.5**2 + 0.25**2) / 4
    assert float(discriminator_loss([REAL], [FAKE], game="least-squares")) == pytest.approx(wanted)


def test_non_saturating_is_the_cross_entropy_of_torch() -> None:
    ones, zeros = torch.ones_like(FAKE), torch.zeros_like(FAKE)
    theirs = F.binary_cross_entropy_with_logits(FAKE, ones)
    assert float(generator_loss([FAKE], game="non-saturating")) == pytest.approx(float(theirs))
    theirs = F.binary_cross_entropy_with_logits(REAL, ones) + F.binary_cross_entropy_with_logits(FAKE, zeros)
    assert float(discriminator_loss([REAL], [FAKE], game="non-saturating")) == pytest.approx(float(theirs))


@pytest.mark.parametrize("game", GAMES)
def test_every_scale_counts_alike_whatever_its_size(game) -> None:
    large, small = torch.randn(2, 1, 9, 9), torch.randn(2, 1, 2, 2)
    both = [generator_loss([scale], game=game) for scale in (large, small)]
    assert float(generator_loss([large, small], game=game)) == pytest.approx(float(sum(both) / 2))
    both = [discriminator_loss([scale], [-scale], game=game) for scale in (large, small)]
    found = discriminator_loss([large, small], [-large, -small], game=game)
    assert found.ndim == 0 and float(found) == pytest.approx(float(sum(both) / 2), rel=1e-5)


@pytest.mark.parametrize("game", GAMES)
def test_their_gradients_are_right(game) -> None:
    real, fake = (torch.randn((2, 1, 3, 3), dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda f: generator_loss([f], game=game), (fake,))
    assert torch.autograd.gradcheck(lambda r, f: discriminator_loss([r], [f], game=game), (real, fake))


@pytest.mark.parametrize("game", GAMES)
def test_both_sides_want_opposite_logits(game) -> None:
    fake = torch.full((1, 1, 2, 2), -0.5, requires_grad=True)
    (up,) = torch.autograd.grad(generator_loss([fake], game=game), fake)
    (down,) = torch.autograd.grad(discriminator_loss([fake.detach()], [fake], game=game), fake)
    assert (up < 0).all() and ((down > 0).all() if game != "least-squares" else (down < 0).all())


def test_the_adaptive_weight_makes_both_pull_alike() -> None:
    layer = torch.tensor([1.0, 2.0], requires_grad=True)
    rest, adversarial = (layer * torch.tensor([3.0, 4.0])).sum(), 10 * layer[0]
    weight = adaptive_weight(rest, adversarial, layer)
    assert float(weight) == pytest.approx(5 / (10 + 1e-4)) and not weight.requires_grad
    (rest + weight * adversarial).backward()  # the graphs are still there


def test_the_adaptive_weight_ends_at_ten_thousand() -> None:
    layer = torch.ones(1, requires_grad=True)
    assert float(adaptive_weight((5 * layer).sum(), (0 * layer).sum(), layer)) == 1e4


def test_a_judged_output_gets_gradients_and_its_judge_none() -> None:
    network = Adversarial(channels=4).build()
    out = pictures(1, 1, 3, 32, 32).requires_grad_()
    generator_loss(judged_by(network, out), game="hinge").backward()
    assert out.grad is not None and float(out.grad.abs().max()) > 0
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())


def test_a_judge_learns_to_tell_bright_from_dark() -> None:
    torch.manual_seed(0)
    network = Adversarial(channels=4).build()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    true, out = 0.5 + 0.5 * pictures(2, 1, 3, 32, 32), 0.4 * pictures(2, 1, 3, 32, 32, seed=1)
    losses: list[float] = []
    for _ in range(30):
        value = discriminator_loss(network(true), network(out), game="hinge")
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        losses.append(float(value.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^adversarial: got no logits"):
        generator_loss([], game="hinge")
    with pytest.raises(ValueError, match=r"^adversarial: what the discriminator says holds NaN"):
        generator_loss([FAKE * torch.nan], game="hinge")
    with pytest.raises(ValueError, match=r"^adversarial: got the game 'chess'"):
        generator_loss([FAKE], game="chess")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="scales: got 0, wanted 1 to 6"):
        Adversarial(scales=0)
