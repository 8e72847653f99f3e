"""What a metric looks at: one moment of two aligned videos, and the moment before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor

from vidperc.ops.resize import resize

if TYPE_CHECKING:
    from vidperc.clip import Motion

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class _Remembering:
    """Keeps what several metrics need of it, so that it is made once; it goes when the moment or step goes."""

    _made: dict[str, Any] = field(default_factory=dict[str, Any], init=False, repr=False, compare=False)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` gave at the first call with this name."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


@dataclass(frozen=True, kw_only=True)
class Moment(_Remembering):
    """What the videos show at one time.

    out: (3,H,W) float32 RGB, nominal [0,1]: the frame that is measured.
    true: (3,h,w) likewise: what it is held against, the reference if there is one, else the source.
    """

    out: Tensor
    true: Tensor

    @cached_property
    def fitted(self) -> Tensor:
        """OUT at the size of what it is held against, (3,h,w): antialiased bicubic, as is unless it is larger."""
        return resize(self.out[None], (self.true.shape[1], self.true.shape[2]), "bicubic")[0]


@dataclass(frozen=True, kw_only=True)
class Step(_Remembering):
    """One moment, the one before it, and how the source moved between them.

    before: None at the start of a shot: what a cut separates is not compared.
    motion: of the source, one frame, from now to before; None where nobody asked for it, and at the start of a shot.
    """

    now: Moment
    before: Moment | None = None
    motion: Motion | None = None
