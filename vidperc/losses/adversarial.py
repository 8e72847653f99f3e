"""Adversarial losses: what a network gains from being taken for the truth, and its judge from telling them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidperc.losses.checks import finite, wide
from vidperc.losses.term import Need, Opened, Term
from vidperc.models.discriminators import (
    NORMS,
    Norm,
    multi_scale_discriminator,
    patch_discriminator,
    temporal_discriminator,
)

Game = Literal["hinge", "non-saturating", "least-squares"]
Judge = Literal["patch", "multi-scale", "temporal"]

_LARGEST_WEIGHT = 1e4
_LEAST_LENGTH = 1e-4


def generator_loss(judged: Sequence[Tensor], *, game: Game) -> Tensor:
    """What a generator pays for what a discriminator says of its outputs.

    judged: logits of every scale, (N,1,...) each, large for what is taken for true. Every scale counts alike: the mean
    of its own logits first, then the mean over scales.
    hinge: -D. non-saturating: -log sigmoid(D). least-squares: (D - 1)^2 / 2.
    Returns a scalar, float32 or float64. Raises ValueError for no logits, or such that are no numbers.
    Source: J. Lim, J. Ye, "Geometric GAN", 2017; I. Goodfellow et al., "Generative adversarial nets", 2014, section 3;
    X. Mao et al., "Least squares generative adversarial networks", 2017, equation 9 (doi:10.1109/ICCV.2017.304).
    """
    _check(judged)
    match game:
        case "hinge":
            return _mean([-logits for logits in judged])
        case "non-saturating":
            return _mean([F.softplus(-wide(logits)) for logits in judged])
        case "least-squares":
            return _mean([(wide(logits) - 1).square() / 2 for logits in judged])
        case _:
            raise ValueError(f"adversarial: got the game {game!r}, wanted hinge, non-saturating or least-squares")


def discriminator_loss(real: Sequence[Tensor], fake: Sequence[Tensor], *, game: Game) -> Tensor:
    """What a discriminator pays for what it says of the truth and of outputs.

    real, fake: logits of every scale, as for `generator_loss`; the outputs detached.
    hinge: max(0, 1 - real) + max(0, 1 + fake). non-saturating: -log sigmoid(real) - log(1 - sigmoid(fake)).
    least-squares: (real - 1)^2 / 2 + fake^2 / 2.
    """
    _check(real)
    _check(fake)
    match game:
        case "hinge":
            return _mean([F.relu(1 - wide(logits)) for logits in real]) + _mean(
                [F.relu(1 + wide(logits)) for logits in fake]
            )
        case "non-saturating":
            return _mean([F.softplus(-wide(logits)) for logits in real]) + _mean(
                [F.softplus(wide(logits)) for logits in fake]
            )
        case "least-squares":
            return _mean([(wide(logits) - 1).square() / 2 for logits in real]) + _mean(
                [wide(logits).square() / 2 for logits in fake]
            )
        case _:
            raise ValueError(f"adversarial: got the game {game!r}, wanted hinge, non-saturating or least-squares")


def adaptive_weight(rest: Tensor, adversarial: Tensor, last_layer: Tensor) -> Tensor:
    """The weight that makes an adversarial loss pull at the last layer as hard as the rest does: a scalar, no gradient.

    |d rest / d last_layer| / (|d adversarial / d last_layer| + 1e-4), from 0 to 1e4. rest, adversarial: scalars that
    the generator's last layer was part of; both graphs stay.
    Raises ValueError for a last layer that one of them does not come from.
    Source: P. Esser, R. Rombach, B. Ommer, "Taming transformers for high-resolution image synthesis", 2021, equation 7
    (doi:10.1109/CVPR46437.2021.01268).
    """
    lengths: list[Tensor] = []
    for what, loss in (("the rest", rest), ("the adversarial loss", adversarial)):
        gradient = None
        if loss.requires_grad and last_layer.requires_grad:
            (gradient,) = torch.autograd.grad(loss, last_layer, retain_graph=True, allow_unused=True)
        if gradient is None:
            raise ValueError(
                f"adversarial: {what} does not depend on last_layer, {tuple(last_layer.shape)}, wanted weights of the "
                "generator, which learn, that out was made with"
            )
        lengths.append(wide(gradient).square().sum().sqrt())
    return (lengths[0] / (lengths[1] + _LEAST_LENGTH)).clamp(0, _LARGEST_WEIGHT).detach()


def _check(judged: Sequence[Tensor]) -> None:
    if not judged:
        raise ValueError("adversarial: got no logits, wanted those of each scale")
    for logits in judged:
        finite("adversarial", "what the discriminator says", wide(logits).sum())


def _mean(scales: Sequence[Tensor]) -> Tensor:
    """Each scale's own mean first: their shapes differ, and added as they are they would be broadcast."""
    return torch.stack([wide(scale).mean() for scale in scales]).mean()


@dataclass(frozen=True, kw_only=True)
class Adversarial(Term):
    """`generator_loss` of out, and for its discriminator `discriminator_loss` of true and out (`Objective.judge`).

    discriminator: `patch` (70x70 with 3 layers), `multi-scale` (several, each on half the size) or `temporal` (3D, on
    clips). channels: of its first layer. layers: that halve the size. scales: of multi-scale. norm: between layers.
    adaptive: the weight is multiplied by `adaptive_weight`.
    """

    kind: Literal["adversarial"] = "adversarial"
    game: Game = "hinge"
    discriminator: Judge = "patch"
    channels: int = 64
    layers: int = 3
    scales: int = 3
    norm: Norm = "spectral"
    adaptive: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, most in {"channels": 1024, "layers": 6, "scales": 6}.items():
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name}: got {getattr(self, name)}, wanted 1 to {most}")
        if self.norm not in NORMS:
            raise ValueError(f"norm: got {self.norm!r}, wanted one of {', '.join(NORMS)}")

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"clip"}) if self.discriminator == "temporal" else frozenset()

    def open(self, weights: Path | None) -> Opened:
        network = self.build()
        return Opened(measure=lambda view: generator_loss(judged_by(network, view.out), game=self.game), judge=network)

    def build(self) -> nn.Module:
        """The discriminator, with random weights; of (N,T,3,H,W) in [0,1] it gives the logits of its scales."""
        match self.discriminator:
            case "patch":
                return patch_discriminator(self.channels, self.layers, norm=self.norm)
            case "multi-scale":
                return multi_scale_discriminator(self.channels, self.layers, self.scales, norm=self.norm)
            case "temporal":
                return temporal_discriminator(self.channels, self.layers, norm=self.norm)


def judged_by(network: nn.Module, out: Tensor) -> list[Tensor]:
    """A discriminator's logits for out, whose gradients reach out and leave the discriminator alone."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        return network(out)
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
