from __future__ import annotations

import pytest
import torch

from tests.losses.made_up import pictures
from vidperc.losses.opponent import Opponent, opponent_loss
from vidperc.losses.pixel import mse


def test_with_equal_weights_and_squares_it_is_the_mse() -> None:
    out, true = pictures(2, 3, 8, 9), pictures(2, 3, 8, 9, seed=1)
    assert float(opponent_loss(out, true, distance="l2")) == pytest.approx(float(mse(out, true)), rel=1e-5)


@pytest.mark.parametrize(
    ("change", "seen_by"),
    [((0.1, 0.1, 0.1), "luminance"), ((0.1, -0.1, 0.0), "red_green"), ((-0.1, -0.1, 0.2), "blue_yellow")],
)
def test_each_weight_is_for_its_own_change(change, seen_by) -> None:
    true = pictures(1, 3, 4, 4)
    out = true + torch.tensor(change).view(3, 1, 1)
    for name in ("luminance", "red_green", "blue_yellow"):
        weights = {"luminance": 0.0, "red_green": 0.0, "blue_yellow": 0.0} | {name: 2.0}
        wanted = 2 * float(torch.tensor(change).norm()) / 3 if name == seen_by else 0
        assert float(opponent_loss(out, true, **weights)) == pytest.approx(wanted, abs=1e-6)


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match=r"red_green: got -1, wanted a weight of at least 0"):
        Opponent(red_green=-1)
