from __future__ import annotations

import kornia
import pytest
import torch
import torch.nn.functional as F

from tests.losses.made_up import pictures
from vidperc.losses.objective import Objective
from vidperc.losses.pixel import L1, Charbonnier, charbonnier, l1, l1_on_smooth_ground, mse
from vidperc.losses.sample import Sample


def test_l1_and_mse_are_those_of_torch() -> None:
    out, true = pictures(2, 3, 8, 9), pictures(2, 3, 8, 9, seed=1)
    assert torch.equal(l1(out, true), F.l1_loss(out, true))
    assert torch.equal(mse(out, true), F.mse_loss(out, true))


def test_charbonnier_is_worked_out_by_hand() -> None:
    true = torch.zeros(1, 3, 1, 1)
    out = torch.tensor([0.3, 0.0, -0.4]).view(1, 3, 1, 1)
    assert float(charbonnier(out, true, epsilon=0.4)) == pytest.approx((0.5 + 0.4 + 0.32**0.5) / 3, rel=1e-6)


def test_charbonnier_with_an_epsilon_of_1_is_that_of_kornia_and_1() -> None:
    # kornia's is sqrt(d^2 + 1) - 1, about half of the MSE: another loss, and the same function at another epsilon.
    out, true = pictures(2, 3, 8, 9), pictures(2, 3, 8, 9, seed=1)
    theirs = kornia.losses.charbonnier_loss(out, true, reduction="mean")
    assert float(charbonnier(out, true, epsilon=1.0) - 1) == pytest.approx(float(theirs), rel=1e-4)


def test_charbonnier_is_l1_far_from_zero() -> None:
    out, true = pictures(2, 3, 8, 9), pictures(2, 3, 8, 9, seed=1)
    assert float(charbonnier(out, true)) == pytest.approx(float(l1(out, true)), abs=1e-6)


def test_an_epsilon_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"epsilon: got 0\.0, wanted a number above 0"):
        Charbonnier(epsilon=0.0)


@pytest.mark.parametrize("lead", [(1,), (2, 3)])
def test_smooth_ground_counts_and_texture_hardly_does(lead: tuple[int, ...]) -> None:
    """Stripes of 0.4 and 0.6, whose standard deviation is about 0.1, beside a plain grey."""
    true = torch.full((*lead, 3, 24, 48), 0.5)
    true[..., :24] += 0.1 - 0.2 * (torch.arange(24) % 2)
    beside, on = true.clone(), true.clone()
    beside[..., 30:42] += 0.05
    on[..., 6:18] += 0.05
    plain = float(l1(beside, true))
    assert float(l1_on_smooth_ground(beside, true, texture=0.01)) == pytest.approx(plain, rel=1e-4)
    assert float(l1_on_smooth_ground(on, true, texture=0.01)) == pytest.approx(plain / 100, rel=0.05)
    assert float(l1_on_smooth_ground(on, true, texture=0.1)) == pytest.approx(plain / 2, rel=0.02)


def test_the_term_asks_for_it() -> None:
    out, true = pictures(2, 3, 16, 18), pictures(2, 3, 16, 18, seed=1)
    total = Objective.open([L1(texture=0.1)])(Sample(out=out, true=true)).total
    assert float(total) == float(l1_on_smooth_ground(out, true, texture=0.1))


@pytest.mark.parametrize("texture", [0.0, -1.0, float("nan"), float("inf")])
def test_a_texture_that_is_no_number_above_zero_is_refused(texture: float) -> None:
    with pytest.raises(ValueError, match=r"texture: got .*, wanted a number above 0"):
        L1(texture=texture)
