"""The joint mix: pixels and perception in one term, with one number between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from torch import Tensor

from vidperc.losses.dists import Dists
from vidperc.losses.feature import Feature
from vidperc.losses.lpips import Lpips
from vidperc.losses.opponent import Opponent
from vidperc.losses.pixel import L1, Charbonnier, Mse
from vidperc.losses.structure import MsSsim, Ssim
from vidperc.losses.style import Style
from vidperc.losses.term import Need, Opened, Term, Wanted, check_share
from vidperc.losses.video_feature import VideoFeature

PixelTerm: TypeAlias = Annotated[L1 | Mse | Charbonnier | Ssim | MsSsim | Opponent, Field(discriminator="kind")]
PerceptualTerm: TypeAlias = Annotated[Feature | Style | Lpips | Dists | VideoFeature, Field(discriminator="kind")]


def mix(pixel: Tensor, perceptual: Tensor, *, perceptual_share: float) -> Tensor:
    """(1 - lambda) pixel + lambda perceptual, of two scalars. perceptual_share: the lambda, 0 to 1."""
    check_share("perceptual_share", perceptual_share)
    # What has no share is left out and not multiplied by zero, for a value that is no number would come through.
    if perceptual_share == 0:
        return pixel
    if perceptual_share == 1:
        return perceptual
    return (1 - perceptual_share) * pixel + perceptual_share * perceptual


@dataclass(frozen=True, kw_only=True)
class Mix(Term):
    """`mix` of two terms, each times its own weight, which brings both to one scale.

    perceptual_share: the lambda: 0 for the pixel term alone, 1 for the perceptual one.
    """

    kind: Literal["mix"] = "mix"
    pixel: PixelTerm
    perceptual: PerceptualTerm
    perceptual_share: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share("perceptual_share", self.perceptual_share)

    @property
    def needs(self) -> frozenset[Need]:
        return self.pixel.needs | self.perceptual.needs

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        return (*self.pixel.wanted, *self.perceptual.wanted)

    def open(self, weights: Path | None) -> Opened:
        pixel, perceptual = self.pixel.open(weights), self.perceptual.open(weights)
        return Opened(
            measure=lambda view: mix(
                self.pixel.weight * pixel.measure(view),
                self.perceptual.weight * perceptual.measure(view),
                perceptual_share=self.perceptual_share,
            ),
            networks=(*pixel.networks, *perceptual.networks),
        )
