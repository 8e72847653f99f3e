from __future__ import annotations

import math
import re

import pytest

from tests.report.pages import Reader
from vidperc.report.curves import HALF, THIRD, WIDE, Point, Size, chart, latest

NAN, INF = float("nan"), float("inf")


def drawn(points: list[Point], *, size: Size = HALF, smooth: bool = True, last_step: int = 100) -> Reader:
    """The elements of a chart whose every coordinate is a number inside of it."""
    svg = chart("loss", points, last_step=last_step, size=size, smooth=smooth)
    found = Reader(svg)
    for tag, attributes in found.elements:
        across = [attributes[name] for name in ("cx", "x", "x1", "x2") if name in attributes]
        up = [attributes[name] for name in ("cy", "y", "y1", "y2") if name in attributes]
        if tag == "path":
            assert re.fullmatch(r"M-?[\d.]+ -?[\d.]+(L-?[\d.]+ -?[\d.]+)*", attributes["d"])
            numbers = re.findall(r"[\d.-]+", attributes["d"])
            across, up = numbers[::2], numbers[1::2]
        assert all(0 <= float(x) <= size.width for x in across), attributes
        assert all(0 <= float(y) <= size.height for y in up), attributes
    return found


def lines(found: Reader, kind: str = "line") -> list[int]:
    """How many points each line has."""
    return [path["d"].count("L") + 1 for path in found.all("path") if path["class"] == kind]


@pytest.mark.parametrize("size", [WIDE, HALF, THIRD])
@pytest.mark.parametrize(
    "values",
    [
        [0.0],
        [3.0] * 50,
        [-1e300, 1e300, 0.0],
        [1e-300, 1e300],
        [5e-324, 0.0],
        [1.0, 1.0 + 1e-15],
        [-3.0, -2.0, 1e9],
        [0.02 + 1 / (1 + step) for step in range(3000)],
    ],
)
def test_curves_of_any_values_stay_inside(values: list[float], size: Size) -> None:
    points: list[Point] = [(step + 1, value) for step, value in enumerate(values)]
    found = drawn(points, size=size, last_step=len(values))
    assert len(lines(found)) == 1
    assert any(text["class"] == "mark end" for text in found.all("text"))


@pytest.mark.parametrize("points", [[], [(1, None)], [(1, NAN), (2, INF), (3, -INF), (4, 1e308)]])
def test_a_curve_of_nothing_says_so(points: list[Point]) -> None:
    found = drawn(points)
    assert "no numbers yet" in found.text
    assert not found.all("path") and not found.all("circle")


def test_a_curve_of_one_point_is_a_dot() -> None:
    assert len(drawn([(100, 2.0)]).all("circle")) == 2


def test_what_is_no_number_is_a_gap() -> None:
    points: list[Point] = [(1, 1.0), (2, 2.0), (3, NAN), (4, 3.0), (5, None), (6, INF), (7, 4.0), (8, 2.0), (9, 1.0)]
    assert lines(drawn(points, smooth=False)) == [2, 1, 3]


def test_many_points_are_smoothed_over_the_values_themselves() -> None:
    points: list[Point] = [(step, 5 + (-1) ** step) for step in range(1, 101)]
    found = drawn(points)
    assert lines(found) == lines(found, "raw") == [100]
    smoothed, raw = (
        [float(y) for y in re.findall(r" ([\d.]+)", path["d"])]
        for kind in ("line", "raw")
        for path in found.all("path")
        if path["class"] == kind
    )
    assert max(smoothed[20:]) - min(smoothed[20:]) < 0.4 * (max(raw) - min(raw))
    assert lines(drawn(points, smooth=False), "raw") == []


def test_a_long_line_is_thinned_and_keeps_its_end() -> None:
    points: list[Point] = [(step, math.sin(step / 300)) for step in range(1, 5001)]
    found = drawn(points, smooth=False, last_step=5000)
    (path,) = (path["d"] for path in found.all("path") if path["class"] == "line")
    assert path.count("L") <= 401
    assert path.split("L")[-1].split()[0] == str(HALF.width - 14)


def test_the_latest_value_is_where_the_curve_ends() -> None:
    points: list[Point] = [(step, 5 + (-1) ** step) for step in range(1, 101)]
    assert latest(points, smooth=False) == 6
    smoothed = latest(points, smooth=True)
    assert smoothed is not None
    assert abs(smoothed - 5) < 0.5
    ends = [drawn(points, smooth=smooth).all("circle")[-1]["cy"] for smooth in (False, True)]
    assert float(ends[0]) < float(ends[1])
    assert latest([(1, 2.0), (2, None), (3, 4.0), (4, NAN)], smooth=True) == 4
    assert latest([(1, NAN)], smooth=True) is None
