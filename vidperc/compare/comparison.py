"""What a comparison of two videos found: figures of every frame, their means, and what to think of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import fmean
from typing import Literal

from vidperc.metrics.metric import AnyMetric, Metric, WholeMetric
from vidperc.metrics.over_time import DETAIL, MOVEMENT
from vidperc.metrics.step import Step

Against = Literal["SOURCE", "REFERENCE"]

# The movement from which on something does move; noise and compression leave less of a still picture.
MOVES = 0.5
# Fewer such steps than this tell nothing: one may be a keyframe whose quality jumps.
FEWEST_MOVES = 3
# OUT that moves, or has detail, less than this share of what it is held against; and what is no movement in a step.
FAR_LESS, STANDS_STILL = 0.7, 0.1
# Below this share of pixels that can be followed, figures along the motion tell little.
LITTLE_COVERAGE = 0.5


@dataclass(frozen=True, kw_only=True)
class Series:
    """The figures of one metric for each frame, None where there is none: of OUT, and of what it is held against.

    out is empty where frames have no figures of their own: then there is one of the whole, and none of a part.
    true is empty where the metric is of both together.
    """

    metric: AnyMetric
    out: Sequence[float | None]
    true: Sequence[float | None] = ()
    whole: float | None = None

    def mean(self, start: int = 0, stop: int | None = None) -> float | None:
        """Of OUT over the frames start to stop - 1; None where no frame has a figure."""
        if not self.out and (start, stop) == (0, None):
            return self.whole
        return self._mean(self.out[start:stop])

    def true_mean(self, start: int = 0, stop: int | None = None) -> float | None:
        """Of what OUT is held against."""
        return self._mean(self.true[start:stop])

    def _mean(self, figures: Iterable[float | None]) -> float | None:
        there = [figure for figure in figures if figure is not None]
        drop = self.metric.drop if isinstance(self.metric, Metric) else 0
        kept = there[drop : len(there) - drop]
        return fmean(kept) if kept else None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Figures of two aligned videos.

    against: what OUT is held against. seconds: of every frame. shots: the number of the first frame of each.
    """

    against: Against
    seconds: tuple[Fraction, ...]
    shots: tuple[int, ...]
    series: tuple[Series, ...]

    def spans(self) -> tuple[tuple[int, int], ...]:
        """Of each shot the first frame, and the first after it."""
        return tuple(pairwise((*self.shots, len(self.seconds))))

    def notes(self) -> tuple[str, ...]:
        """Sentences for people who would otherwise believe a figure that means little."""
        found = self._movement_notes()
        for series in self.series:
            out, true = series.mean(), series.true_mean()
            if series.metric.name.startswith(DETAIL) and out is not None and true and out < FAR_LESS * true:
                found.append(
                    f"OUT has {out / true:.2f} times the detail of {self.against}: it is blurred, and low figures over "
                    "time are no merit of it"
                )
            if series.metric.name.startswith("coverage") and out is not None and out < LITTLE_COVERAGE:
                found.append(
                    f"only {out:.0%} of the pixels could be followed from frame to frame; the figures along the "
                    "motion are about those"
                )
        return tuple(found)

    def _movement_notes(self) -> list[str]:
        found: list[str] = []
        movement = next(series for series in self.series if series.metric.name == MOVEMENT)
        moving = [
            (out, true)
            for out, true in zip(movement.out, movement.true, strict=True)
            if out is not None and true is not None and true > MOVES
        ]
        if len(moving) < FEWEST_MOVES:
            return found
        share = sum(out for out, _ in moving) / sum(true for _, true in moving)
        still = sum(out < STANDS_STILL * true for out, true in moving)
        if share < FAR_LESS:
            found.append(
                f"OUT moves {share:.2f} times as much as {self.against}: it is frozen, or smoothed over time, and low "
                "figures over time are no merit of it"
            )
        if still:
            found.append(f"OUT stands still in {still} of the {len(moving)} steps in which {self.against} moves")
        return found


def score(
    steps: Iterable[tuple[Fraction, Step]], metrics: Sequence[AnyMetric], *, against: Against = "SOURCE"
) -> Comparison:
    """Take every metric of every step; each comes with its time in seconds. Holds figures, no frames."""
    seconds: list[Fraction] = []
    shots: list[int] = []
    stepwise = [metric for metric in metrics if isinstance(metric, Metric)]
    found = {metric.name: _Figures([], []) for metric in stepwise}
    series: list[Series] = []
    with ExitStack() as stack:
        tallies = {
            metric.name: stack.enter_context(closing(metric.begin()))
            for metric in metrics
            if isinstance(metric, WholeMetric)
        }
        for time, step in steps:
            if step.before is None:
                shots.append(len(seconds))
            seconds.append(time)
            for metric in stepwise:
                found[metric.name].out.append(metric.measure(step))
                if metric.of_true is not None:
                    found[metric.name].true.append(metric.of_true(step))
            for tally in tallies.values():
                tally.add(step)
            del step  # the moment before it is needed no more
        for metric in metrics:
            if isinstance(metric, Metric):
                figures = found[metric.name]
                series.append(Series(metric=metric, out=tuple(figures.out), true=tuple(figures.true)))
            else:
                tally = tallies[metric.name]
                whole = tally.figure()
                series.append(Series(metric=metric, out=tuple(tally.of_frames()), whole=whole))
    return Comparison(against=against, seconds=tuple(seconds), shots=tuple(shots), series=tuple(series))


@dataclass(frozen=True)
class _Figures:
    out: list[float | None]
    true: list[float | None]
