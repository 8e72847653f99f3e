"""DISTS as a loss."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vidperc.losses.term import Opened, Term
from vidperc.perception.dists import load_dists


@dataclass(frozen=True, kw_only=True)
class Dists(Term):
    """The mean DISTS of all frames, `perception.dists`; 0 where both are equal, and small where only texture moved."""

    kind: Literal["dists"] = "dists"

    def open(self, weights: Path | None) -> Opened:
        network = load_dists(weights)
        return Opened(measure=lambda view: network(view.frames("out"), view.frames("true")).mean(), networks=(network,))
