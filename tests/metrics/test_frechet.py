from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.image.fid import _compute_fid

from vidperc.metrics.frechet import Moments, frechet_distance


def features(count: int, width: int, seed: int) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, dtype=torch.float64, generator=chance)
    return torch.randn(count, width, dtype=torch.float64, generator=chance) @ mixing + 3 * seed


def moments(found: Tensor, *, batch: int = 1000) -> Moments:
    kept = Moments()
    for part in found.split(batch):
        kept.add(part)
    return kept


@pytest.mark.parametrize("batch", [1, 7, 50])
def test_moments_do_not_depend_on_the_batches(batch: int) -> None:
    found = features(50, 6, 1)
    kept = moments(found, batch=batch)
    assert kept.count == 50
    np.testing.assert_allclose(kept.mean, found.numpy().mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(kept.covariance, np.cov(found.numpy(), rowvar=False), rtol=1e-10)


def test_a_large_mean_costs_no_digits_of_the_covariance() -> None:
    found = features(200, 3, 1)
    far = moments(found + 1e7, batch=9)
    np.testing.assert_allclose(far.covariance, np.cov(found.numpy(), rowvar=False), rtol=1e-6)


def test_it_holds_as_much_however_many_features_come() -> None:
    kept = Moments()
    for seed in range(30):
        kept.add(features(40, 5, seed))
    held = [value.numel() for value in vars(kept).values() if isinstance(value, Tensor)]
    assert sorted(held) == [5, 25]


@pytest.mark.parametrize(("count", "width"), [(400, 8), (64, 64), (12, 40)])
def test_it_is_the_distance_of_torchmetrics(count: int, width: int) -> None:
    """Also with fewer features than channels, where the square root of the product is complex by rounding."""
    one, other = moments(features(count, width, 1)), moments(features(count, width, 2))
    theirs = float(_compute_fid(one.mean, one.covariance, other.mean, other.covariance))
    assert frechet_distance(one, other) == pytest.approx(theirs, rel=1e-5)


def test_of_one_channel_it_is_the_difference_of_means_and_of_deviations() -> None:
    one, other = features(90, 1, 1), 2.5 * features(70, 1, 2)
    wanted = (one.mean() - other.mean()) ** 2 + (one.std() - other.std()) ** 2
    assert frechet_distance(moments(one), moments(other)) == pytest.approx(float(wanted), rel=1e-10)


def test_of_scaled_features_it_has_a_closed_form() -> None:
    found = features(100, 5, 1)
    apart = found.mean(dim=0).square().sum() + np.trace(np.cov(found.numpy(), rowvar=False))
    assert frechet_distance(moments(found), moments(3 * found)) == pytest.approx(4 * float(apart), rel=1e-9)


def test_it_is_nothing_for_equal_features_and_the_same_both_ways() -> None:
    one, other = moments(features(30, 40, 1)), moments(features(30, 40, 2))
    size = float(one.covariance.trace())
    # The square roots of eigenvalues that should be 0 are as large as the root of the rounding.
    rounding = 1e-6 * size
    assert frechet_distance(one, one) == pytest.approx(0, abs=rounding)
    assert frechet_distance(one, other) == pytest.approx(frechet_distance(other, one), abs=rounding)


def test_what_cannot_be_is_refused() -> None:
    kept = Moments()
    with pytest.raises(ValueError, match="got 0 features, wanted at least 2"):
        frechet_distance(kept, kept)
    kept.add(torch.zeros(3, 4))
    with pytest.raises(ValueError, match=r"features: got \(2, 5\), wanted \(N,4\)"):
        kept.add(torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"features: got \(4,\), wanted \(N,4\)"):
        kept.add(torch.zeros(4))
    with pytest.raises(ValueError, match="no numbers"):
        kept.add(torch.full((1, 4), math.nan))
    with pytest.raises(ValueError, match="got 4 and 5 channels"):
        frechet_distance(kept, moments(torch.zeros(3, 5)))
