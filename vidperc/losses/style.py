"""Style loss: the same textures, wherever they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from vidperc.losses.checks import finite
from vidperc.losses.feature import Features
from vidperc.losses.term import LayerWeights, Need, Opened, Term, Wanted, check_layers
from vidperc.perception.gram import gram

if TYPE_CHECKING:
    from vidperc.losses.view import View

JOHNSON_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")


def style_loss(out: Features, style: Features, weights: LayerWeights) -> Tensor:
    """The sum over layers of weight times the squared Frobenius distance of Gram matrices, the mean over pictures.

    out: features by the name of their layer, (N,C,h,w). style: (N,C,H,W), or (1,C,H,W) for all, of any size, for Gram
    matrices are over C H W. They are float32 at least: in half precision they overflow.
    Returns a scalar, float32 or float64, 0 for equal pictures. Raises ValueError for a layer that is not there, other
    numbers of pictures or channels, and features that are no numbers.
    Source: L. Gatys, A. Ecker, M. Bethge, "Image style transfer using convolutional neural networks", 2016
    (doi:10.1109/CVPR.2016.265); Johnson et al., 2016, equations 3 and 4.
    """
    parts: list[Tensor] = []
    for layer, weight in weights.items():
        if layer not in out or layer not in style:
            raise ValueError(f"style: no layer {layer!r}, wanted one of {', '.join(out)}")
        ours, theirs = out[layer], style[layer]
        if ours.shape[1] != theirs.shape[1] or len(theirs) not in (1, len(ours)):
            raise ValueError(
                f"style: {layer} got {tuple(ours.shape)} and {tuple(theirs.shape)}, wanted as many channels, and one "
                "style for all or one for each"
            )
        apart = (gram(ours) - gram(theirs)).square().sum(dim=(1, 2)).mean()
        parts.append(weight * finite("style", layer, apart))
    if not parts:
        raise ValueError("style: got no layers, wanted a layer and its weight")
    return sum(parts[1:], start=parts[0])


@dataclass(frozen=True, kw_only=True)
class Style(Term):
    """`style_loss` of every frame, against the sample's style where it has one, else against that of true."""

    kind: Literal["style"] = "style"
    backbone: str = "vgg16"
    layers: LayerWeights = field(default_factory=lambda: dict.fromkeys(JOHNSON_LAYERS, 1.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        check_layers(self.layers)

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"style"})

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        return (Wanted(backbone=self.backbone, layers=tuple(self.layers)),)

    def open(self, weights: Path | None) -> Opened:
        (wanted,) = self.wanted

        def measure(view: View) -> Tensor:
            out, style = view.features(wanted), view.features(wanted, "style")
            return style_loss(out, _for_each_frame(out, style), self.layers)

        return Opened(measure=measure)


def _for_each_frame(out: Features, style: Features) -> Features:
    """One style of each clip for all its frames."""
    found: dict[str, Tensor] = {}
    for layer, theirs in style.items():
        frames = len(out[layer])
        several = len(theirs) > 1 and frames % len(theirs) == 0
        found[layer] = theirs.repeat_interleave(frames // len(theirs), dim=0) if several else theirs
    return found
