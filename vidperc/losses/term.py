"""Term: one loss of an objective, as a frozen description that YAML spells."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vidperc.losses.view import View

# What must be in the sample of a term.
# true: what `out` should be. clip: at least two frames. motion: it, or frames to find it in. back: the reversed pass.
# latent: mean and log-variance. style: one, or true.
Need = Literal["true", "clip", "motion", "back", "latent", "style"]

Distance = Literal["l2", "l1", "cosine"]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A network that a term looks through, and the layers it looks at; `video` for the 3D ones."""

    backbone: str
    layers: tuple[str, ...]
    video: bool = False


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What a term needs at run time.

    measure: its value, a scalar, of a view. networks: those that it alone looks through, to be moved to a device.
    judge: its discriminator, which learns.
    """

    measure: Callable[[View], Tensor]
    networks: Sequence[nn.Module] = ()
    judge: nn.Module | None = None


LayerWeights: TypeAlias = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Term(ABC):
    """One loss of an objective; each kind is a subclass with a literal `kind` and options of its own.

    weight: what its value counts in the total. name: of its value; left out, the kind. Two terms of an objective have
    two names.
    """

    kind: str
    weight: float = 1.0
    name: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"weight: got {self.weight}, wanted a number of at least 0")
        if self.name and not re.fullmatch(r"\w[\w-]*", self.name):
            raise ValueError(f"name: got {self.name!r}, wanted letters, digits and dashes")

    @property
    def called(self) -> str:
        return self.name or self.kind

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"true"})

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        """The networks that it shares with other terms."""
        return ()

    @abstractmethod
    def open(self, weights: Path | None) -> Opened:
        """Load what it alone needs. weights: the folder of weights, None for the usual places.

        Raises VidpercError for weights that cannot be had.
        """


def check_layers(layers: LayerWeights) -> None:
    """Raises ValueError, beginning with `layers`, for none of them or a weight that is not above 0."""
    if not layers:
        raise ValueError("layers: got none, wanted a layer and its weight")
    for layer, weight in layers.items():
        if not 0 < weight < math.inf:
            raise ValueError(f"layers: got {weight} for {layer}, wanted a weight above 0")


def check_share(name: str, value: float) -> None:
    """Raises ValueError, beginning with the name of the field, unless it is from 0 to 1."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name}: got {value}, wanted 0 to 1")
