"""Charts of one value over the steps of a training, as SVG that takes its colours from the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vidperc.report.axis import LARGEST, Axis, axis_for, short_count
from vidperc.report.markup import Html, element, joined, number

Point = tuple[float, float | None]  # a step, and a value or none

_MOST_POINTS = 400  # of a line; more cannot be told apart
_SMOOTHED_FROM = 40
_DOTTED_TO = 24
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 14, 10, 26  # pixels around the plot; more at the left where labels are long
_DIGIT = 7.2  # pixels


@dataclass(frozen=True)
class Size:
    """Of a chart in pixels, and about how many values its axes mark."""

    width: int
    height: int
    across: int
    up: int


# As wide as a page draws them, so that their text has the size of the text around.
WIDE = Size(1026, 300, 8, 5)
HALF = Size(489, 210, 5, 4)
THIRD = Size(310, 150, 4, 3)


def latest(points: Sequence[Point], *, smooth: bool) -> float | None:
    """Where the curve of `chart` ends; None where there is none."""
    runs = [_thinned(run) for run in _runs(points)]
    count = sum(len(run) for run in runs)
    if not runs:
        return None
    end = _smoothed(runs[-1], window=_window(count)) if smooth and count >= _SMOOTHED_FROM else runs[-1]
    return end[-1][1]


@dataclass(frozen=True)
class _Plot:
    """Where the values of a chart are."""

    across: Axis
    up: Axis
    size: Size
    left: float

    @property
    def right(self) -> int:
        return self.size.width - _RIGHT

    @property
    def bottom(self) -> int:
        return self.size.height - _BOTTOM

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        step, value = point
        x = self.left + self.across.place(step) * (self.right - self.left)
        return x, self.bottom - self.up.place(value) * (self.bottom - _TOP)


def chart(
    name: str, points: Sequence[Point], *, last_step: int, size: Size, smooth: bool, powers: bool | None = None
) -> Html:
    """A curve from step 0 to the last one.

    points: upwards in steps; where a value is None, no number or endless, the line has a gap.
    smooth: whether the line is the mean of its neighbourhood, over the values themselves in a lighter tone, where there
    are enough of them. powers: as `axis_for` has it.
    """
    runs = [_thinned(run) for run in _runs(points)]
    up = axis_for((value for run in runs for _, value in run), powers=powers)
    marks = up.marks(size.up)
    left = max(_LEFT, 14 + _DIGIT * max((len(label) for _, label in marks), default=0))
    plot = _Plot(Axis(0.0, float(max(last_step, 1))), up, size, left)
    parts = [_frame(plot, marks)]
    if not runs:
        middle = {"x": (left + plot.right) / 2, "y": size.height / 2, "class": "mark middle"}
        parts.append(element("text", middle, "no numbers yet"))
    count = sum(len(run) for run in runs)
    smooths = smooth and count >= _SMOOTHED_FROM
    window = _window(count)
    placed: list[tuple[float, float]] = []
    for run in runs:
        placed = [plot.place(point) for point in run]
        if smooths:
            parts.append(_line(placed, "raw"))
            placed = [plot.place(point) for point in _smoothed(run, window=window)]
        parts.append(_line(placed, "line"))
        # What stands alone has no line.
        dotted = placed if count <= _DOTTED_TO or len(placed) == 1 else []
        parts.extend(_dot(place, 2.5) for place in dotted)
    parts.extend(_dot(place, 4) for place in placed[-1:])
    box = f"0 0 {size.width} {size.height}"
    return element("svg", {"viewBox": box, "role": "img", "aria-label": f"{name} over the steps"}, *parts)


def _runs(points: Sequence[Point]) -> list[list[tuple[float, float]]]:
    """The parts of a line between its gaps."""
    runs: list[list[tuple[float, float]]] = []
    whole = False
    for step, value in points:
        if value is None or not abs(value) <= LARGEST:
            whole = False
            continue
        if not whole:
            runs.append([])
        runs[-1].append((step, value))
        whole = True
    return runs


def _thinned(run: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means of equally many neighbours, where there are too many; the last point stays."""
    each = math.ceil(len(run) / _MOST_POINTS)
    if each == 1:
        return run
    groups = [run[first : first + each] for first in range(0, len(run) - 1, each)]
    return [(_mean([step for step, _ in group]), _mean([value for _, value in group])) for group in groups] + [run[-1]]


def _window(count: int) -> int:
    """Over how many of so many values a line is smoothed."""
    return max(3, count // 25)


def _smoothed(run: list[tuple[float, float]], *, window: int) -> list[tuple[float, float]]:
    """Each value as the mean of those up to half a window away, fewer at the ends: nothing lags."""
    half = window // 2
    made: list[tuple[float, float]] = []
    for place, (step, _) in enumerate(run):
        # Less at the start, which is steep; at the end not down to a single value, whose every jump it would follow.
        reach = min(half, place // 4, max(len(run) - 1 - place, half // 2))
        around = run[max(0, place - reach) : place + reach + 1]
        made.append((step, _mean([value for _, value in around])))
    return made


def _mean(values: Sequence[float]) -> float:
    return sum(value / len(values) for value in values)


def _line(places: Sequence[tuple[float, float]], kind: str) -> Html:
    path = "L".join(f"{number(x)} {number(y)}" for x, y in places)
    return element("path", {"d": f"M{path}", "class": kind})


def _dot(place: tuple[float, float], radius: float) -> Html:
    return element("circle", {"cx": place[0], "cy": place[1], "r": radius, "class": "dot"})


def _frame(plot: _Plot, marks: Sequence[tuple[float, str]]) -> Html:
    """The lines behind the curve, and what they stand for."""
    span = {"x1": plot.left, "x2": plot.right}
    parts: list[Html] = []
    for value, label in marks:
        _, y = plot.place((0, value))
        parts.append(element("line", {**span, "y1": y, "y2": y, "class": "grid"}))
        parts.append(element("text", {"x": plot.left - 8, "y": y + 4, "class": "mark end"}, label))
    parts.append(element("line", {**span, "y1": plot.bottom, "y2": plot.bottom, "class": "base"}))
    for step, _ in plot.across.marks(plot.size.across):
        if step == int(step):
            x, _ = plot.place((step, plot.up.low))
            parts.append(element("text", {"x": x, "y": plot.bottom + 18, "class": "mark middle"}, short_count(step)))
    return joined(*parts)
