"""The Frechet distance of two sets of features, each kept as a mean and a covariance that grow as features come."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor


class Moments:
    """The mean and the covariance of features that come in batches; it holds D + D*D numbers, however many come.

    In float64, on the CPU, around the running mean: sums of squares would lose what a covariance is made of.
    Source: T. Chan, G. Golub, R. LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances",
    1979, equation 2.1.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = torch.zeros(0, dtype=torch.float64)
        self._scatter = torch.zeros(0, 0, dtype=torch.float64)

    def add(self, features: Tensor) -> None:
        """Take in features (N,D). Raises ValueError for another shape or width, and for what is no number."""
        if features.ndim != 2 or (self.count and features.shape[1] != len(self._mean)):
            width = len(self._mean) if self.count else "D"
            raise ValueError(f"features: got {tuple(features.shape)}, wanted (N,{width})")
        features = features.detach().to("cpu", torch.float64)
        if not bool(features.isfinite().all()):
            raise ValueError("features: got values that are no numbers")
        new = len(features)
        if not new:
            return
        mean = features.mean(dim=0)
        apart = features - mean
        scatter = apart.T @ apart  # (D, D)
        if not self.count:
            self.count, self._mean, self._scatter = new, mean, scatter
            return
        moved, count = mean - self._mean, self.count + new
        self._scatter = self._scatter + scatter + torch.outer(moved, moved) * (self.count * new / count)
        self._mean = self._mean + moved * (new / count)
        self.count = count

    @property
    def mean(self) -> Tensor:
        """(D,) float64."""
        return self._mean

    @property
    def covariance(self) -> Tensor:
        """(D,D) float64, unbiased: over one less than the count. Raises ValueError for fewer than two features."""
        if self.count < 2:
            raise ValueError(f"covariance: got {self.count} features, wanted at least 2")
        return self._scatter / (self.count - 1)


def frechet_distance(one: Moments, other: Moments) -> float:
    """|m - n|^2 + tr(S) + tr(T) - 2 tr((S T)^(1/2)) of two Gaussians; 0 for equal ones, never negative.

    The trace is that of (S^(1/2) T S^(1/2))^(1/2), which has the same eigenvalues and is symmetric: they are real and
    at least 0, where the square root of the product S T turns complex when there are fewer features than channels.
    Raises ValueError for fewer than two features, or another number of channels.
    Source: D. Dowson, B. Landau, "The Frechet distance between multivariate normal distributions", 1982, equation 4.
    """
    if one.mean.shape != other.mean.shape:
        raise ValueError(f"frechet: got {len(one.mean)} and {len(other.mean)} channels, wanted as many in both")
    first, second = one.covariance, other.covariance
    root = _root(first)
    values = cast("Tensor", torch.linalg.eigvalsh(root @ second @ root))
    shared = values.clamp(min=0).sqrt().sum()
    apart = (one.mean - other.mean).square().sum()
    return max(0.0, float(apart + first.trace() + second.trace() - 2 * shared))


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root; eigenvalues that rounding made negative are 0."""
    values, vectors = cast("tuple[Tensor, Tensor]", torch.linalg.eigh(covariance))
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T
