from __future__ import annotations

import pytest
import torch

from tests.losses.made_up import TinyBackbone, pictures
from vidperc.losses.diversity import diversity_loss


def test_equal_outputs_pay_the_whole_margin() -> None:
    same = {"a": pictures(1, 4, 5, 5).expand(3, -1, -1, -1)}
    assert float(diversity_loss(same, {"a": 2.0}, margin=0.3)) == pytest.approx(0.6, abs=1e-5)


def test_outputs_that_differ_enough_pay_nothing() -> None:
    one, other = torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)
    one[:, 0], other[:, 1] = 1, 1
    assert float(diversity_loss({"a": torch.cat([one, other])}, {"a": 1.0}, margin=0.9)) == 0


def test_it_is_the_mean_over_pairs() -> None:
    one, other = torch.zeros(1, 2, 1, 1), torch.zeros(1, 2, 1, 1)
    one[:, 0], other[:, 1] = 1, 1
    three = {"a": torch.cat([one, one, other])}  # one pair of three is alike
    assert float(diversity_loss(three, {"a": 1.0}, margin=0.5)) == pytest.approx(0.5 / 3, abs=1e-6)


def test_following_it_moves_near_outputs_apart() -> None:
    network = TinyBackbone()
    base = pictures(1, 3, 16, 16)
    outputs = torch.cat([base, base + 0.02 * pictures(1, 3, 16, 16, seed=1)]).requires_grad_()
    values: list[float] = []
    for _ in range(8):
        value = diversity_loss(network(outputs), {"second": 1.0}, margin=1.0)
        (gradient,) = torch.autograd.grad(value, outputs)
        outputs = (outputs - 0.1 * gradient / gradient.abs().max()).detach().requires_grad_()
        values.append(float(value.detach()))
    assert values == sorted(values, reverse=True) and values[-1] < values[0] - 0.05


def test_its_gradients_are_right() -> None:
    features = torch.rand((3, 4, 3, 3), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: diversity_loss({"a": f}, {"a": 1.0}, margin=2.0), (features,))


def test_a_single_output_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^diversity: got 1 output, wanted at least 2"):
        diversity_loss({"a": pictures(1, 4, 5, 5)}, {"a": 1.0})
