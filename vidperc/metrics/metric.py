"""What a metric is, and what its name and convention depend on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from vidperc.metrics.networks import NO_NETWORKS, Networks
from vidperc.metrics.step import Moment, Step

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class MetricFacts:
    """What every metric says of itself.

    name: with its convention, as it is printed and stored. unit: empty for a plain number.
    about: whether it tells how near OUT is (fidelity), how it behaves over time, or what these figures rest on.
    better: which way. form: how a figure is printed, as a format specification.
    needs_motion: takes the step's motion. smallest: sides, in pixels, that what OUT is held against must have.
    """

    name: str
    about: Literal["fidelity", "time", "basis"]
    unit: str = ""
    better: Literal["higher", "lower", ""] = ""
    form: str = ".2f"
    needs_motion: bool = False
    smallest: int = 1


@dataclass(frozen=True, kw_only=True)
class Metric(MetricFacts):
    """A measure over two aligned streams of frames, taken step by step; what it needs to hold is in the step.

    measure: the figure of OUT at one step; None where there is none, as at the start of a shot.
    of_true: the same of what OUT is held against, for metrics of one video: what is there without any processing.
    drop: so many figures at each end stay out of a mean.
    """

    measure: Callable[[Step], float | None]
    of_true: Callable[[Step], float | None] | None = None
    drop: int = 0


class Tally(Protocol):
    """Takes the steps of a video, one after the other, and has a figure of them in the end.

    Whoever began it closes it, whatever happened.
    """

    def add(self, step: Step) -> None: ...

    def figure(self) -> float | None:
        """Of all steps so far; None where they are too few. No step comes after it."""
        ...

    def of_frames(self) -> Sequence[float | None]:
        """Of every step, where a frame has a figure of its own; else empty. After `figure`."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class WholeMetric(MetricFacts):
    """A measure that has its figure when all frames have passed.

    begin: makes what takes them. pooled: several videos have one figure together, not a mean of theirs.
    """

    begin: Callable[[], Tally]
    pooled: bool = True


AnyMetric = Metric | WholeMetric


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What the names and conventions of metrics depend on.

    larger: OUT has more pixels than what it is held against, and is brought to that size by antialiased bicubic.
    crop: pixels that metrics of luma leave out at each border. motion: how it was found.
    networks: those that the metrics look with. shared: several metrics look at LPIPS's features of a frame, which are
    then kept from one moment to the next.
    """

    larger: bool = False
    crop: int = 0
    motion: str = "dis-balanced"
    networks: Networks = NO_NETWORKS
    shared: bool = False

    @property
    def downscaled(self) -> str:
        """What a name says where OUT is brought to the size of what it is held against."""
        return ",downscaled" if self.larger else ""


def picture(moment: Moment, of: Literal["out", "true"]) -> Tensor:
    """OUT at the size of what it is held against, or that itself, as a batch of one clamped to [0,1], (1,3,h,w)."""
    return (moment.fitted if of == "out" else moment.true)[None].clamp(0, 1)
