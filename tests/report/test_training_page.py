from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.report.pages import Reader, assert_asks_for_nothing
from vidperc.report.curves import Point
from vidperc.report.pictures import Strip, strip
from vidperc.report.training_page import Curves, First, TrainingPage, read_first, short, training_page

HOSTILE = """<script>alert("x")</script> & 'more' </style></title>"""


def falling(count: int = 60) -> list[Point]:
    return [(100 * step, 1 / step) for step in range(1, count + 1)]


def a_strip(title: str, *, side: int = 16) -> Strip:
    true = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    return strip(title, true[::2, ::2], true // 2 + 60, true, side=side)


TOLD = TrainingPage(
    name="tiny-x2",
    summary="small enough for a test",
    step=6000,
    steps=10000,
    seconds=0.125,
    waited=0.031,
    curves=Curves(
        loss=falling(),
        terms={"pixel": falling(), "warp": [(100, None), (200, 0.3)]},
        figures={"set5 Y-PSNR": [(3000, 30.1), (6000, 31.25)], "set5 LPIPS": [(3000, float("nan")), (6000, 0.1)]},
        run={"learning rate": falling()},
    ),
    facts={"recipe": "tiny.yaml", "command": "vidperc train tiny.yaml"},
    first=None,
    strips=[],
    log="tiny-x2.csv",
)


def test_a_page_has_every_curve_and_asks_for_nothing() -> None:
    page = training_page(TOLD)
    assert_asks_for_nothing(page)
    found = Reader(page)
    wanted = ["loss", "pixel", "warp", "set5 Y-PSNR", "set5 LPIPS", "learning rate"]
    assert [svg["aria-label"] for svg in found.all("svg")] == [f"{name} over the steps" for name in wanted]
    for text in ("tiny-x2", "small enough for a test", "step 6,000 of 10,000", "125 ms a step, 3 %", "31.25"):
        assert text in found.text
    assert "30.10 at step 3,000" in found.text
    assert "vidperc train tiny.yaml" in found.text
    assert [link["href"] for link in found.all("a")] == ["tiny-x2.csv"]


def test_a_page_is_a_whole_document() -> None:
    page = training_page(TOLD)
    assert page.startswith('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">')
    found = Reader(page)
    assert [len(found.all(tag)) for tag in ("html", "head", "body", "main", "h1", "title", "style")] == [1] * 7
    assert "prefers-color-scheme: dark" in page


def test_any_text_is_text() -> None:
    strips = [a_strip(HOSTILE)]
    curves = replace(TOLD.curves, terms={HOSTILE: falling()}, figures={HOSTILE: [(6000, 1.0)]})
    told = replace(TOLD, name=HOSTILE, summary=HOSTILE, facts={HOSTILE: HOSTILE}, curves=curves, strips=strips)
    page = training_page(replace(told, log=f"{HOSTILE}.csv"))
    assert "<script" not in page
    found = Reader(page)  # refuses what is not balanced
    assert found.text.count(HOSTILE) >= 7
    assert f"{HOSTILE} over the steps" in [svg["aria-label"] for svg in found.all("svg")]


def test_pictures_stand_beside_those_of_the_first_checkpoint() -> None:
    strips = [a_strip("one"), a_strip("two")]
    first = First(step=1000, made={"one": strips[0].given})
    found = Reader(training_page(replace(TOLD, strips=strips, first=first)))
    assert [image["alt"] for image in found.all("img")] == [
        *("one, bicubic", "one, step 1,000", "one, step 6,000", "one, truth"),
        *("two, bicubic", "two, step 6,000", "two, truth"),
    ]
    assert found.all("img")[1]["src"] == strips[0].given.uri
    assert found.text.count(strips[0].made.note) == 2
    assert_asks_for_nothing(training_page(replace(TOLD, strips=strips, first=first)))


def test_the_first_pictures_are_read_from_a_page(tmp_path: Path) -> None:
    path, strips = tmp_path / "page.html", [a_strip("one"), a_strip(HOSTILE)]
    path.write_text(training_page(replace(TOLD, strips=strips, first=None, step=1000)), encoding="utf-8")
    first = read_first(path)
    assert first == First(step=1000, made={held.title: held.made for held in strips})
    # Over and over, though the page is written again each time.
    for _ in range(2):
        path.write_text(training_page(replace(TOLD, strips=strips, first=first)), encoding="utf-8")
        assert read_first(path) == first


def test_a_page_without_pictures_or_none_at_all_has_no_first(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    assert read_first(path) is None
    for text in (training_page(TOLD), "<img data-first=1 src='data:image/png;base64,\">'>", "<img data-first=x src=y>"):
        path.write_text(text, encoding="utf-8")
        assert read_first(path) is None
    path.write_bytes(b"\xff\xfe\x00")
    assert read_first(path) is None


def test_a_page_of_a_single_term_that_is_the_loss_draws_it_once() -> None:
    curves = replace(TOLD.curves, terms={"pixel": falling()})
    labels = [svg["aria-label"] for svg in Reader(training_page(replace(TOLD, curves=curves))).all("svg")]
    assert "pixel over the steps" not in labels


def test_the_table_is_of_checkpoints_from_the_first_to_the_last() -> None:
    figures = {"set": [(1000 * step, float(step)) for step in range(1, 201)]}
    told = replace(TOLD, step=200_000, steps=200_000, curves=replace(TOLD.curves, loss=[], figures=figures))
    found = Reader(training_page(told))
    assert "finished" in found.text
    assert len(found.all("tr")) == 21
    assert "1,0001.000" in found.text and "200,000200.00" in found.text


@pytest.mark.parametrize(
    ("value", "told"),
    [(31.254, "31.25"), (1.5, "1.500"), (0.1, "0.1000"), (2e-4, "2.00e-4"), (0, "0"), (-3.2e7, "-3.20e7")],
)
def test_figures_have_about_four_digits(value: float, told: str) -> None:
    assert short(value) == told
    assert short(float("nan")) == "nan"
