from __future__ import annotations

import re

import pytest

from tests.report.pages import Reader
from vidperc.report.trade import HEIGHT, WIDTH, Point, trade

POINTS = [Point("0", 38.0, 0.05), Point("0.5", 37.5, 0.04), Point("1", 36.0, 0.03)]


def dots(markup: str) -> list[tuple[float, float]]:
    return [(float(dot["cx"]), float(dot["cy"])) for dot in Reader(markup).all("circle")]


def labels(markup: str) -> list[str]:
    return re.findall(r"<text[^>]*style=[^>]*>([^<]*)</text>", markup)


def test_points_stand_where_their_values_are() -> None:
    """Greater values are further right and further up, in equal steps, inside the chart."""
    (x0, y0), (x1, y1), (x2, y2) = dots(trade("psnr", "lpips", POINTS))
    assert WIDTH > x0 > x1 > x2 > 0 and 0 < y0 < y1 < y2 < HEIGHT
    assert x0 - x1 == pytest.approx((x0 - x2) / 4, abs=0.2)  # pixels are written to a tenth
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.2)


def test_the_line_goes_through_the_points_in_their_order() -> None:
    markup = trade("psnr", "lpips", POINTS)
    (path,) = Reader(markup).all("path")
    found = [tuple(map(float, pair.split())) for pair in path["d"].removeprefix("M").split("L")]
    assert found == dots(markup)


def test_every_point_has_its_label_and_the_axes_theirs() -> None:
    markup = trade("psnr <dB>", "lpips & co", POINTS)
    assert sorted(labels(markup)) == ["0", "0.5", "1"]
    text = Reader(markup).text
    assert "psnr <dB>" in text and "lpips & co" in text
    assert Reader(markup).all("svg")[0]["aria-label"] == "lpips & co over psnr <dB>"


def test_of_points_in_one_place_the_ends_are_labelled() -> None:
    near = [Point("0", 38.0, 0.05), Point("0.25", 38.0, 0.05), Point("1", 30.0, 0.01)]
    assert sorted(labels(trade("a", "b", near))) == ["0", "1"]
    assert len(dots(trade("a", "b", [Point("0", 1.0, 1.0)] * 3))) == 3
