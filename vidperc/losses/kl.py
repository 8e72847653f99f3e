"""KL: how far a latent Gaussian is from the standard one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from vidperc.losses.checks import bounds, finite, wide
from vidperc.losses.term import Need, Opened, Term

Reduction = Literal["sum", "mean"]


def kl(mean: Tensor, log_variance: Tensor, *, reduction: Reduction) -> Tensor:
    """-1/2 (1 + log_variance - mean^2 - exp(log_variance)): 0 for the standard Gaussian.

    mean, log_variance: (N,...) of one shape. reduction: `sum` over what belongs to one item, the true divergence, then
    the mean over items; or the `mean` over everything, which is smaller by the size of an item, 1e5 times for a picture
    of 128x128 codes of 6 channels. So it has no default.
    Returns a scalar, float32 or float64. Raises ValueError for other shapes and what is no number.
    Source: D. Kingma, M. Welling, "Auto-Encoding Variational Bayes", 2013, appendix B.
    """
    if mean.shape != log_variance.shape or mean.ndim < 2 or not mean.numel():
        told = f"{tuple(mean.shape)} and {tuple(log_variance.shape)}"
        raise ValueError(f"kl: got a mean and log-variance of {told}, wanted two of one shape (N,...)")
    for what, values in (("the mean", mean), ("the log-variance", log_variance)):
        bounds("kl", what, values)
    mean, log_variance = wide(mean), wide(log_variance)
    apart = -0.5 * (1 + log_variance - mean.square() - log_variance.exp())
    if reduction == "sum":
        return finite("kl", "the sum", apart.sum() / len(mean))
    if reduction == "mean":
        return finite("kl", "the mean over all", apart.mean())
    raise ValueError(f"kl: got the reduction {reduction!r}, wanted sum or mean")


@dataclass(frozen=True, kw_only=True)
class Kl(Term):
    """`kl` of the sample's latent; reduction must be named."""

    kind: Literal["kl"] = "kl"
    reduction: Reduction

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"latent"})

    def open(self, weights: Path | None) -> Opened:
        return Opened(measure=lambda view: kl(*view.latent, reduction=self.reduction))
