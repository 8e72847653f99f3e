"""LPIPS as a loss."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from vidperc.losses.checks import finite
from vidperc.losses.term import Opened, Term, Wanted
from vidperc.perception.lpips import TRUNKS, LpipsHeads, load_heads

if TYPE_CHECKING:
    from vidperc.losses.view import View


@dataclass(frozen=True, kw_only=True)
class Lpips(Term):
    """The mean LPIPS of all frames, of `perception.lpips`; 0 where both are equal.

    Its trunk is a backbone like that of other terms: VGG-16 runs once for this one and for `feature`. Under autocast
    the trunk runs as that says, whatever comes after is float32.
    trunk: vgg to train with, as its authors advise; alex is what papers measure with; squeeze is the smallest.
    """

    kind: Literal["lpips"] = "lpips"
    trunk: Literal["squeeze", "alex", "vgg"] = "vgg"

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        trunk = TRUNKS[self.trunk]
        return (Wanted(backbone=trunk.backbone, layers=trunk.layers),)

    def open(self, weights: Path | None) -> Opened:
        (wanted,) = self.wanted
        heads = LpipsHeads(load_heads(weights, self.trunk))

        def measure(view: View) -> Tensor:
            out, true = ([view.features(wanted, which)[layer] for layer in wanted.layers] for which in ("out", "true"))
            return finite("lpips", "what its trunk gave", heads(out, true).mean())

        return Opened(measure=measure, networks=(heads,))
