"""Diversity: outputs that look too much alike are pushed apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from vidperc.losses.checks import finite
from vidperc.losses.feature import Features, feature_distance
from vidperc.losses.term import LayerWeights, Need, Opened, Term, Wanted, check_layers

if TYPE_CHECKING:
    from vidperc.losses.view import View


def diversity_loss(out: Features, weights: LayerWeights, *, margin: float = 0.3) -> Tensor:
    """The sum over layers of weight times max(0, margin - distance), the mean over all pairs of pictures.

    out: features (N,C,h,w) by the name of their layer, of N >= 2 outputs that ought to differ. margin: the distance
    from which on a pair is left alone; it is the mean over positions of 1 - the cosine between features, which does
    not depend on their strength: 0 for equal pictures, about 1 for unlike ones.
    The margin at most, where all are equal; there its gradient is zero, so outputs need some noise to begin with.
    Returns a scalar, float32 or float64. Raises ValueError for less than two outputs and a layer that is not there.
    Source: after Y. Li et al., "Diversified texture synthesis with feed-forward networks", 2017, equation 3
    (doi:10.1109/CVPR.2017.36), with a margin instead of distances without bound.
    """
    parts: list[Tensor] = []
    for layer, weight in weights.items():
        if layer not in out:
            raise ValueError(f"diversity: no layer {layer!r}, wanted one of {', '.join(out)}")
        features = out[layer]
        if len(features) < 2:
            raise ValueError(f"diversity: got {len(features)} output, wanted at least 2 to push apart")
        one, other = torch.combinations(torch.arange(len(features), device=features.device)).unbind(1)
        apart = feature_distance(features[one], features[other], distance="cosine").flatten(1).mean(dim=1)  # (pairs,)
        parts.append(weight * finite("diversity", layer, (margin - apart).clamp(min=0).mean()))
    if not parts:
        raise ValueError("diversity: got no layers, wanted a layer and its weight")
    return sum(parts[1:], start=parts[0])


@dataclass(frozen=True, kw_only=True)
class Diversity(Term):
    """`diversity_loss` of the batch's outputs, moment by moment: pairs are of frames at the same place in their clips.

    The outputs should be of one input; those of unlike inputs are beyond the margin in any case.
    """

    kind: Literal["diversity"] = "diversity"
    backbone: str = "vgg16"
    layers: LayerWeights
    margin: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_layers(self.layers)
        if not 0 < self.margin < math.inf:
            raise ValueError(f"margin: got {self.margin}, wanted a number above 0")

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset()

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        return (Wanted(backbone=self.backbone, layers=tuple(self.layers)),)

    def open(self, weights: Path | None) -> Opened:
        (wanted,) = self.wanted

        def measure(view: View) -> Tensor:
            found, count = view.features(wanted), view.out.shape[1]
            moments = [
                diversity_loss(
                    {layer: found[layer][t::count] for layer in self.layers}, self.layers, margin=self.margin
                )
                for t in range(count)
            ]
            return torch.stack(moments).mean()

        return Opened(measure=measure)
