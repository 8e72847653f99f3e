"""DISTS as a term: the same numbers as the metric."""

from __future__ import annotations

import pytest
import torch

from tests.losses.made_up import pictures
from tests.perception.made_up import write_random_weights
from vidperc.losses.dists import Dists
from vidperc.losses.objective import Objective
from vidperc.losses.sample import Sample
from vidperc.perception.dists import WIDTHS, load_dists
from vidperc.perception.weights import DISTS_WEIGHTS


@pytest.fixture
def weights(tmp_path):
    """A folder with a random VGG-16 and random weights of DISTS."""
    write_random_weights("vgg16", tmp_path)
    generator = torch.Generator().manual_seed(0)
    made = {name: torch.rand((1, sum(WIDTHS), 1, 1), generator=generator) for name in ("alpha", "beta")}
    torch.save(made, tmp_path / DISTS_WEIGHTS.name)
    return tmp_path


def test_it_is_the_metric_and_zero_for_equal_clips(weights) -> None:
    out, true = pictures(1, 2, 3, 40, 44), pictures(1, 2, 3, 40, 44, seed=1)
    objective = Objective.open([Dists()], weights=weights)
    metric = load_dists(weights)(out.flatten(0, 1), true.flatten(0, 1)).mean()
    assert float(objective(Sample(out=out, true=true)).total) == pytest.approx(float(metric), rel=1e-6)
    assert float(objective(Sample(out=out, true=out)).total) == pytest.approx(0, abs=1e-5)


def test_its_gradients_are_right(weights) -> None:
    objective = Objective.open([Dists()], weights=weights).double()
    out, true = (pictures(1, 3, 32, 32, seed=seed, dtype=torch.float64) for seed in (0, 1))
    out.requires_grad_()
    assert torch.autograd.gradcheck(lambda o: objective(Sample(out=o, true=true)).total, (out,), fast_mode=True)


def test_its_gradients_are_numbers_at_equal_pictures_and_under_autocast(weights) -> None:
    objective = Objective.open([Dists()], weights=weights)
    for noise in (0.0, 0.1):
        true = pictures(1, 3, 32, 32)
        out = (true + noise * pictures(1, 3, 32, 32, seed=1)).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            value = objective(Sample(out=out, true=true)).total
        (gradient,) = torch.autograd.grad(value, out)
        assert value.dtype == torch.float32 and torch.isfinite(gradient).all()
