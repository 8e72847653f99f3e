"""Temporal feature loss: what a network sees in a frame should move with the motion of the source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from vidperc.losses.along import Steps, change_along
from vidperc.losses.checks import finite
from vidperc.losses.feature import Features
from vidperc.losses.term import LayerWeights, Need, Opened, Term, Wanted, check_layers

if TYPE_CHECKING:
    from vidperc.losses.view import View


def temporal_feature_loss(
    now: Features,
    before: Features,
    steps: Steps,
    weights: LayerWeights,
    strides: Mapping[str, int],
    *,
    distance: Literal["l1", "l2"] = "l2",
    detach_before: bool = False,
) -> Tensor:
    """The sum over layers of weight times the mean of |phi(now) - warp(phi(before))|^2 over what is visible.

    now, before: features (M,C,h,w) by the name of their layer. steps: M of them, from now to before, of the size of the
    pictures. strides: of each layer, the pixels of the picture between two features: the vectors are divided by it, and
    visible is what is so in all of a feature's cell and its neighbours'.
    Returns a scalar, float32 or float64; 0 where nothing is visible. Raises ValueError for a layer that is not there,
    unlike shapes and features that are no numbers.
    Source: after X. Gao et al., "Fast video multi-style transfer", and W. Gao et al., "ReCoNet", 2018, section 3.3,
    without its normalisation (doi:10.1007/978-3-030-20876-9_40).
    """
    parts: list[Tensor] = []
    for layer, weight in weights.items():
        if layer not in now or layer not in before or layer not in strides:
            raise ValueError(f"temporal-feature: no layer {layer!r}, wanted one of {', '.join(now)}")
        here, there = now[layer], before[layer]
        if here.shape != there.shape or here.ndim != 4 or len(here) != len(steps.flow):
            raise ValueError(
                f"temporal-feature: {layer} got {tuple(here.shape)} and {tuple(there.shape)}, wanted "
                f"({len(steps.flow)},C,h,w) twice, as many as there are steps"
            )
        sized = steps.at_stride((here.shape[-2], here.shape[-1]), strides[layer])
        apart = change_along(here, there, sized, distance=distance, detach_before=detach_before)
        parts.append(weight * finite("temporal-feature", layer, apart))
    if not parts:
        raise ValueError("temporal-feature: got no layers, wanted a layer and its weight")
    return sum(parts[1:], start=parts[0])


@dataclass(frozen=True, kw_only=True)
class TemporalFeature(Term):
    """`temporal_feature_loss` of all frames but the first of each clip, against the frame before."""

    kind: Literal["temporal-feature"] = "temporal-feature"
    backbone: str = "vgg16"
    layers: LayerWeights
    distance: Literal["l1", "l2"] = "l2"
    detach_before: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_layers(self.layers)

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"clip", "motion"})

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        return (Wanted(backbone=self.backbone, layers=tuple(self.layers)),)

    def open(self, weights: Path | None) -> Opened:
        (wanted,) = self.wanted

        def measure(view: View) -> Tensor:
            found, (count, frames) = view.features(wanted), view.out.shape[:2]
            now: dict[str, Tensor] = {}
            before: dict[str, Tensor] = {}
            for layer in self.layers:
                features = found[layer]
                clips = features.reshape(count, frames, *features.shape[1:])  # (N, T, C, h, w)
                now[layer], before[layer] = clips[:, 1:].flatten(0, 1), clips[:, :-1].flatten(0, 1)
            return temporal_feature_loss(
                now,
                before,
                view.steps("short"),
                self.layers,
                view.strides(wanted),
                distance=self.distance,
                detach_before=self.detach_before,
            )

        return Opened(measure=measure)
