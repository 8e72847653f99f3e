from __future__ import annotations

import kornia
import pytest
import torch
import torch.nn.functional as F

from tests.losses.made_up import pictures
from vidperc.losses.pixel import Charbonnier, charbonnier, l1, mse


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
