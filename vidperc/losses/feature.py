"""Feature loss: how far two pictures are apart in the layers of a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from vidperc.losses.checks import finite, wide
from vidperc.losses.term import Distance, LayerWeights, Opened, Term, Wanted, check_layers

# Inside the roots of the cosine: outside, the gradient of a position without features is not a number.
_EPSILON = 1e-8

Features = Mapping[str, Tensor]
Apart = Callable[[Tensor, Tensor], Tensor]


def feature_distance(one: Tensor, other: Tensor, *, distance: Distance) -> Tensor:
    """How far two maps of features are apart, at each position: (N,C,...) and (N,C,...) to (N,...).

    l2: the mean over channels of the squared difference. l1: of the absolute one. cosine: 1 - the cosine of the angle
    between both vectors of channels, 0 to 2; two vectors of zeros are alike.
    Computed in float32 at least. At equal features all are 0, with gradients of 0.
    """
    one, other = wide(one), wide(other)
    if distance == "l2":
        return (one - other).square().mean(dim=1)
    if distance == "l1":
        return (one - other).abs().mean(dim=1)
    if distance == "cosine":
        lengths = (one.square().sum(dim=1) + _EPSILON) * (other.square().sum(dim=1) + _EPSILON)
        return 1 - ((one * other).sum(dim=1) + _EPSILON) / lengths.sqrt()
    raise ValueError(f"distance: got {distance!r}, wanted l2, l1 or cosine")


def feature_loss(out: Features, true: Features, weights: LayerWeights, *, distance: Distance = "l2") -> Tensor:
    """The sum over layers of weight times the mean `feature_distance`; 0 where both are equal.

    out, true: features by the name of their layer, (N,C,h,w), or (N,C,t,h,w) of a 3D network. weights: of the layers
    that count. With l2 this is |phi(out) - phi(true)|^2 / (C h w), the mean over pictures.
    Returns a scalar, float32 or float64. Raises ValueError for a layer that is not there, unlike shapes and features
    that are no numbers.
    Source: J. Johnson, A. Alahi, L. Fei-Fei, "Perceptual losses for real-time style transfer and super-resolution",
    2016, equation 2 (doi:10.1007/978-3-319-46475-6_43); cosine as M. Chu et al. (TecoGAN), 2020.
    """
    return sum_layers("feature", out, true, weights, lambda a, b: feature_distance(a, b, distance=distance).mean())


def sum_layers(name: str, one: Features, other: Features, weights: LayerWeights, apart: Apart) -> Tensor:
    """The sum over layers of weight times `apart` of both; raises ValueError that begins with the name of the term."""
    parts: list[Tensor] = []
    for layer, weight in weights.items():
        if layer not in one or layer not in other:
            raise ValueError(f"{name}: no layer {layer!r}, wanted one of {', '.join(one)}")
        a, b = one[layer], other[layer]
        if a.shape != b.shape or a.ndim < 4 or not a.numel():
            raise ValueError(f"{name}: {layer} got {tuple(a.shape)} and {tuple(b.shape)}, wanted equal (N,C,h,w)")
        parts.append(weight * finite(name, layer, apart(a, b)))
    if not parts:
        raise ValueError(f"{name}: got no layers, wanted a layer and its weight")
    return sum(parts[1:], start=parts[0])


@dataclass(frozen=True, kw_only=True)
class Feature(Term):
    """`feature_loss` through a network of `perception`, frame by frame.

    backbone: its name. layers: the weight of each layer that counts, by its usual name.
    """

    kind: Literal["feature"] = "feature"
    backbone: str = "vgg16"
    layers: LayerWeights
    distance: Distance = "l2"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_layers(self.layers)

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        return (Wanted(backbone=self.backbone, layers=tuple(self.layers)),)

    def open(self, weights: Path | None) -> Opened:
        (wanted,) = self.wanted
        return Opened(
            measure=lambda view: feature_loss(
                view.features(wanted), view.features(wanted, "true"), self.layers, distance=self.distance
            )
        )
