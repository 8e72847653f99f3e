"""LPIPS as a term: the same numbers as the metric, from a trunk that other terms share."""

from __future__ import annotations

import pytest
import torch

from tests.clips import TEST_DATA
from tests.losses.made_up import pictures
from tests.motion.pairs import needs_data
from tests.perception.made_up import write_random_lpips
from vidperc.errors import VidpercError
from vidperc.losses.feature import Feature
from vidperc.losses.lpips import Lpips
from vidperc.losses.mix import Mix
from vidperc.losses.objective import Objective
from vidperc.losses.pixel import Mse
from vidperc.losses.sample import Sample
from vidperc.perception.backbone import Backbone
from vidperc.perception.lpips import load_lpips


@pytest.fixture
def counted(monkeypatch):
    """How often any backbone ran, as a list of its names."""
    runs: list[str] = []
    forward = Backbone.forward
    monkeypatch.setattr(Backbone, "forward", lambda self, rgb: runs.append(self.name) or forward(self, rgb))
    return runs


@pytest.mark.parametrize("trunk", ["squeeze", "alex", "vgg"])
def test_it_is_the_metric(trunk, tmp_path) -> None:
    write_random_lpips(trunk, tmp_path)
    out, true = pictures(2, 2, 3, 40, 44), pictures(2, 2, 3, 40, 44, seed=1)
    value = Objective.open([Lpips(trunk=trunk)], weights=tmp_path)(Sample(out=out, true=true)).total
    metric = load_lpips(tmp_path, trunk)(out.flatten(0, 1), true.flatten(0, 1)).mean()
    assert float(value) == pytest.approx(float(metric), rel=1e-5)


def test_its_trunk_runs_once_for_feature_losses_too(tmp_path, counted) -> None:
    write_random_lpips("vgg", tmp_path)
    terms = [
        Lpips(),
        Feature(layers={"relu3_3": 1.0, "conv3_3": 0.5}),
        Mix(perceptual_share=0.5, pixel=Mse(), perceptual=Lpips(weight=2.0)),
    ]
    out, true = pictures(1, 3, 40, 44).requires_grad_(), pictures(1, 3, 40, 44, seed=1)
    objective = Objective.open(terms, weights=tmp_path)
    values = objective(Sample(out=out, true=true))
    assert counted == ["vgg16", "vgg16"]  # over out, and over true
    numbers = values.numbers()
    mse = float((out - true).square().mean().detach())
    assert numbers["mix"] == pytest.approx(0.5 * mse + 0.5 * 2 * numbers["lpips"], rel=1e-5)
    alone = Objective.open([Feature(layers={"relu3_3": 1.0, "conv3_3": 0.5})], weights=tmp_path)
    assert alone(Sample(out=out, true=true)).numbers()["feature"] == pytest.approx(numbers["feature"], rel=1e-6)
    values.total.backward()
    assert out.grad is not None and torch.isfinite(out.grad).all() and float(out.grad.abs().max()) > 0


def test_its_gradients_are_right_and_are_numbers_at_equal_pictures(tmp_path) -> None:
    write_random_lpips("squeeze", tmp_path)
    objective = Objective.open([Lpips(trunk="squeeze")], weights=tmp_path).double()
    out, true = (pictures(1, 3, 33, 33, seed=seed, dtype=torch.float64) for seed in (0, 1))
    out.requires_grad_()
    assert torch.autograd.gradcheck(lambda o: objective(Sample(out=o, true=true)).total, (out,), fast_mode=True)
    value = objective(Sample(out=out, true=out.detach())).total
    (gradient,) = torch.autograd.grad(value, out)
    assert float(value.detach()) == 0 and torch.isfinite(gradient).all()


def test_under_autocast_it_is_float32_near_the_value_without(tmp_path) -> None:
    write_random_lpips("squeeze", tmp_path)
    objective = Objective.open([Lpips(trunk="squeeze")], weights=tmp_path)
    sample = Sample(out=pictures(1, 3, 40, 40).requires_grad_(), true=pictures(1, 3, 40, 40, seed=1))
    plain = float(objective(sample).total.detach())
    with torch.autocast("cpu", torch.bfloat16):
        value = objective(sample).total
    assert value.dtype == torch.float32 and float(value.detach()) == pytest.approx(plain, rel=0.03)
    value.backward()
    assert sample.out.grad is not None and torch.isfinite(sample.out.grad).all()


def test_heads_that_are_not_there_name_the_term(tmp_path) -> None:
    with pytest.raises(VidpercError, match=r"^looks: .*squeeze\.pth: not found, and lpips squeeze needs it") as caught:
        Objective.open([Lpips(name="looks", trunk="squeeze")], weights=tmp_path)
    assert "\n" not in str(caught.value)


@needs_data
@pytest.mark.parametrize(("name", "published"), [("ex_p0", 0.711), ("ex_p1", 0.148)])
def test_squeeze_gives_the_published_example(name, published) -> None:
    import numpy as np
    from PIL import Image

    assert TEST_DATA is not None
    pair = [np.array(Image.open(TEST_DATA / "images" / "metric" / f"{n}.png").convert("RGB")) for n in (name, "ex_ref")]
    out, true = (torch.from_numpy(array.transpose(2, 0, 1).copy())[None].float() for array in pair)
    objective = Objective.open([Lpips(trunk="squeeze")], weights=TEST_DATA / "weights")
    value = objective(Sample(out=out, true=true, range="codes")).total
    assert float(value) == pytest.approx(published, abs=0.002)
