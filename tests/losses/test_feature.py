from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.losses.made_up import TinyBackbone, pictures
from vidperc.losses.feature import Feature, feature_distance, feature_loss

WEIGHTS = {"first": 0.3, "second": 2.0}


def features(seed: int) -> dict[str, torch.Tensor]:
    return TinyBackbone()(pictures(2, 3, 16, 16, seed=seed))


def test_l2_is_the_squared_distance_over_c_h_w() -> None:
    one, other = features(0), features(1)
    wanted = sum(
        weight * float((one[layer] - other[layer]).square().sum() / (2 * one[layer][0].numel()))
        for layer, weight in WEIGHTS.items()
    )
    assert float(feature_loss(one, other, WEIGHTS)) == pytest.approx(wanted, rel=1e-5)


def test_l1_is_that_of_torch() -> None:
    one, other = features(0), features(1)
    assert float(feature_loss(one, other, {"second": 1}, distance="l1")) == pytest.approx(
        float(F.l1_loss(one["second"], other["second"])), rel=1e-6
    )


def test_cosine_is_that_of_torch() -> None:
    one, other = features(0)["second"], features(1)["second"]
    theirs = 1 - F.cosine_similarity(one, other, dim=1)
    assert torch.allclose(feature_distance(one, other, distance="cosine"), theirs, atol=1e-5)


def test_cosine_does_not_see_how_strong_features_are() -> None:
    one = features(0)["second"]
    assert feature_distance(one, 3 * one, distance="cosine").abs().max() < 1e-5
    assert feature_distance(one, -one, distance="cosine").min() > 1.99


def test_cosine_of_nothing_has_gradients_that_are_numbers() -> None:
    nothing = torch.zeros(1, 4, 2, 2, requires_grad=True)
    found = feature_distance(nothing, torch.zeros(1, 4, 2, 2), distance="cosine")
    assert found.abs().max() == 0
    found.sum().backward()
    assert nothing.grad is not None and torch.isfinite(nothing.grad).all()
    feature_distance(nothing, torch.ones(1, 4, 2, 2), distance="cosine").sum().backward()
    assert torch.isfinite(nothing.grad).all()


def test_half_precision_features_are_compared_in_float32() -> None:
    # 300^2 is beyond float16.
    one = {"first": torch.full((1, 2, 2, 2), 300.0, dtype=torch.float16)}
    found = feature_loss(one, {"first": torch.zeros(1, 2, 2, 2, dtype=torch.float16)}, {"first": 1})
    assert found.dtype == torch.float32 and float(found) == 300**2


def test_what_does_not_fit_is_refused() -> None:
    one = features(0)
    with pytest.raises(ValueError, match=r"^feature: no layer 'third', wanted one of first, second"):
        feature_loss(one, one, {"third": 1})
    with pytest.raises(ValueError, match=r"^feature: first got \(2, 6, 8, 8\) and \(1, 6, 8, 8\)"):
        feature_loss(one, {"first": one["first"][:1]}, {"first": 1})
    with pytest.raises(ValueError, match=r"^feature: first holds NaN or infinity"):
        feature_loss({"first": torch.full((1, 2, 2, 2), torch.nan)}, {"first": torch.zeros(1, 2, 2, 2)}, {"first": 1})
    with pytest.raises(ValueError, match="layers: got -1 for relu3_3"):
        Feature(layers={"relu3_3": -1})
    with pytest.raises(ValueError, match="layers: got none"):
        Feature(layers={})
