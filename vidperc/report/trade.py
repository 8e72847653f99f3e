"""Charts of one figure over another, along a row of points that are tried one after the other, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vidperc.report.axis import Axis, axis_for
from vidperc.report.markup import Html, element, joined, number

WIDTH, HEIGHT = 489, 330  # pixels, as half of a page draws them
_RIGHT, _TOP, _BOTTOM = 22, 22, 52
_DIGIT = 7.2
_NEAR = 26.0  # pixels between two points whose labels would overlap
_HALO = "paint-order:stroke;stroke:var(--card);stroke-width:4px"  # a line under a label is hidden there


@dataclass(frozen=True)
class Point:
    """One of the points: what is written beside it, and where it is."""

    label: str
    across: float
    up: float


def trade(across: str, up: str, points: Sequence[Point]) -> Html:
    """A line through the points in their order, each with its label.

    across, up: what the axes count, as text. points: at least one, of finite numbers.
    """
    axes = [axis_for(values, powers=False) for values in ([p.across for p in points], [p.up for p in points])]
    right, top, bottom = WIDTH - _RIGHT, _TOP, HEIGHT - _BOTTOM
    marks = axes[1].marks(5)
    left = 14 + _DIGIT * max(len(label) for _, label in marks)
    parts: list[Html] = []
    for value, label in marks:
        y = bottom - axes[1].place(value) * (bottom - top)
        parts.append(element("line", {"x1": left, "x2": right, "y1": y, "y2": y, "class": "grid"}))
        parts.append(element("text", {"x": left - 8, "y": y + 4, "class": "mark end"}, label))
    for value, label in axes[0].marks(5):
        x = left + axes[0].place(value) * (right - left)
        parts.append(element("line", {"x1": x, "x2": x, "y1": top, "y2": bottom, "class": "grid"}))
        parts.append(element("text", {"x": x, "y": bottom + 18, "class": "mark middle"}, label))
    parts.append(element("line", {"x1": left, "x2": right, "y1": bottom, "y2": bottom, "class": "base"}))
    parts.append(element("text", {"x": right, "y": HEIGHT - 10, "class": "mark end"}, across))
    parts.append(element("text", {"x": 0, "y": 11, "class": "mark"}, up))
    placed = [_place(point, axes[0], axes[1], (left, float(right)), (float(top), float(bottom))) for point in points]
    path = "L".join(f"{number(x)} {number(y)}" for x, y in placed)
    parts.append(element("path", {"d": f"M{path}", "class": "line"}))
    parts += [
        element("circle", {"cx": x, "cy": y, "r": 5 if place in (0, len(placed) - 1) else 3.5, "class": "dot"})
        for place, (x, y) in enumerate(placed)
    ]
    parts += _labels([point.label for point in points], placed, (left, float(right)))
    box = f"0 0 {WIDTH} {HEIGHT}"
    return element("svg", {"viewBox": box, "role": "img", "aria-label": f"{up} over {across}"}, joined(*parts))


def _place(
    point: Point, across: Axis, up: Axis, columns: tuple[float, float], rows: tuple[float, float]
) -> tuple[float, float]:
    x = columns[0] + across.place(point.across) * (columns[1] - columns[0])
    return x, rows[1] - up.place(point.up) * (rows[1] - rows[0])


def _labels(labels: Sequence[str], places: Sequence[tuple[float, float]], columns: tuple[float, float]) -> list[Html]:
    """A label beside each point, on its right where there is room; one that would lie on another is left out.

    Those of both ends are always there.
    """
    written: list[tuple[float, float]] = []
    parts: list[Html] = []
    last = len(labels) - 1
    for place in sorted(range(len(labels)), key=lambda place: place not in (0, last)):
        x, y = places[place]
        if place not in (0, last) and any(abs(x - a) < _NEAR and abs(y - b) < 14 for a, b in written):
            continue
        written.append((x, y))
        at_right = x + 12 + _DIGIT * len(labels[place]) < columns[1]
        where: dict[str, object] = {
            "x": x + 9 if at_right else x - 9,
            "y": y - 7,
            "class": "mark" if at_right else "mark end",
        }
        where["style"] = _HALO
        parts.append(element("text", where, labels[place]))
    return parts
