from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from vidperc.losses.kl import kl


def test_of_the_standard_gaussian_it_is_zero() -> None:
    zero = torch.zeros(2, 4, 3, 3)
    assert float(kl(zero, zero, reduction="sum")) == 0 == float(kl(zero, zero, reduction="mean"))


def test_it_is_the_divergence_of_torch() -> None:
    mean, log_variance = torch.randn((2, 5, 4, 3, 3), generator=torch.Generator().manual_seed(0))
    theirs = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0))
    assert float(kl(mean, log_variance, reduction="sum")) == pytest.approx(float(theirs.sum() / 5), rel=1e-6)
    assert float(kl(mean, log_variance, reduction="mean")) == pytest.approx(float(theirs.mean()), rel=1e-6)


def test_both_reductions_differ_by_the_size_of_an_item() -> None:
    mean, log_variance = torch.ones(2, 6, 8, 8), torch.zeros(2, 6, 8, 8)
    ratio = kl(mean, log_variance, reduction="sum") / kl(mean, log_variance, reduction="mean")
    assert float(ratio) == pytest.approx(6 * 8 * 8)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_its_gradients_are_right(reduction) -> None:
    mean, log_variance = torch.randn((2, 2, 3), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    given = mean.requires_grad_(), log_variance.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: kl(a, b, reduction=reduction), given)


def test_it_stays_a_number_in_half_precision_where_the_exponential_would_not() -> None:
    # exp(12) is beyond float16.
    found = kl(torch.zeros(1, 4, dtype=torch.float16), torch.full((1, 4), 12.0, dtype=torch.float16), reduction="mean")
    assert found.dtype == torch.float32 and torch.isfinite(found)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^kl: got a mean and log-variance of \(2, 3\) and \(2, 4\)"):
        kl(torch.zeros(2, 3), torch.zeros(2, 4), reduction="sum")
    with pytest.raises(ValueError, match=r"^kl: the log-variance holds NaN"):
        kl(torch.zeros(2, 3), torch.full((2, 3), torch.nan), reduction="sum")
    with pytest.raises(ValueError, match=r"^kl: got the reduction 'total', wanted sum or mean"):
        kl(torch.zeros(2, 3), torch.zeros(2, 3), reduction="total")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_variance_beyond_all_numbers_is_refused(reduction) -> None:
    with pytest.raises(ValueError, match=r"^kl: the .* holds NaN or infinity"):
        kl(torch.zeros(2, 4), torch.full((2, 4), 100.0), reduction=reduction)
