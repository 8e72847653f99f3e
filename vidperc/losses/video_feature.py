"""3D-backbone loss: how far two clips are apart in the layers of a network that sees movement."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import Tensor

from vidperc.losses.feature import Features, feature_distance, sum_layers
from vidperc.losses.term import Distance, LayerWeights, Need, Opened, Term, Wanted, check_layers


def video_feature_loss(out: Features, true: Features, weights: LayerWeights, *, distance: Distance = "l2") -> Tensor:
    """The sum over layers of weight times the mean over places and moments of |Phi(out) - Phi(true)|^2 / C.

    out, true: features (N,C,t,h,w) by the name of their layer (`perception.video_backbone`). distance: as of
    `feature_distance`.
    Returns a scalar, float32 or float64, 0 where both are equal. Raises ValueError for a layer that is not there,
    unlike shapes and features that are no numbers.
    """
    return sum_layers(
        "video-feature", out, true, weights, lambda a, b: feature_distance(a, b, distance=distance).mean()
    )


@dataclass(frozen=True, kw_only=True)
class VideoFeature(Term):
    """`video_feature_loss` of whole clips.

    backbone: a name of `perception.video_backbone`; `own` comes with vidperc. layers: the weight of each that counts.
    """

    kind: Literal["video-feature"] = "video-feature"
    backbone: str = "own"
    layers: LayerWeights = field(default_factory=lambda: {"layer1": 1.0, "layer2": 1.0, "layer3": 1.0})
    distance: Distance = "l2"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_layers(self.layers)

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"true", "clip"})

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        return (Wanted(backbone=self.backbone, layers=tuple(self.layers), video=True),)

    def open(self, weights: Path | None) -> Opened:
        (wanted,) = self.wanted
        return Opened(
            measure=lambda view: video_feature_loss(
                view.features(wanted), view.features(wanted, "true"), self.layers, distance=self.distance
            )
        )
