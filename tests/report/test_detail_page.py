from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.report.pages import Reader, assert_asks_for_nothing
from vidperc.report.detail_page import DetailPage, DetailSet, Measured, detail_markdown, detail_page
from vidperc.report.pictures import Walk, walk

HOSTILE = """<script>alert("x")</script> & 'more' </style></title>"""
PSNR = Measured(name="psnr@y601,crop2", unit="dB", better="higher", form=".2f", along=[38.0, 37.5, 36.75], bicubic=33.7)
LPIPS = Measured(name="lpips@squeeze", unit="", better="lower", form=".4f", along=[0.05, 0.04, 0.03], bicubic=0.1)
WARPING = Measured(
    name="warping-error@dis-balanced", unit="", better="lower", form=".2e", along=[1e-3, 1.5e-3, 2e-3], bicubic=5e-4
)


def a_walk(title: str) -> Walk:
    true = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    return walk(title, true[::2, ::2], {"detail 0": true // 2, "detail 1": true // 3}, true, side=16)


TOLD = DetailPage(
    model="tiny-x2",
    summary="from here to there",
    details=[0, 0.5, 1],
    sets=[
        DetailSet(name="Set5, x2, bicubic", holds="5 images", metrics=[PSNR, LPIPS]),
        DetailSet(name="Clips, x2, bicubic", holds="2 clips", metrics=[PSNR, LPIPS, WARPING]),
    ],
    walks=[a_walk("bird")],
    facts={"command": "python scripts/detail_curve.py"},
)


def test_a_page_draws_what_is_gained_over_what_is_lost_and_asks_for_nothing() -> None:
    page = detail_page(TOLD)
    assert_asks_for_nothing(page)
    found = Reader(page)
    distortion, perception = "psnr@y601,crop2, dB, higher is better", "lpips@squeeze, lower is better"
    flicker = "warping-error@dis-balanced, lower is better"
    assert [svg["aria-label"] for svg in found.all("svg")] == [
        f"{perception} over {distortion}",
        *(f"{perception} over {distortion}", f"{flicker} over {perception}", f"{flicker} over {distortion}"),
    ]
    for text in ("5 images", "2 clips", "−1.25 dB", "−40 %", "+100 %", "38.00 to 36.75", "0.0500 to 0.0300"):
        assert text in found.text, text
    assert [image["alt"] for image in found.all("img")] == [
        f"bird, {name}" for name in ("bicubic", "detail 0", "detail 1", "truth")
    ]


def test_what_was_not_measured_is_a_dash_and_draws_nothing() -> None:
    empty = replace(LPIPS, along=[None, None, None], bicubic=None)
    page = detail_page(replace(TOLD, sets=[replace(TOLD.sets[0], metrics=[PSNR, empty])], walks=[]))
    found = Reader(page)
    assert not found.all("svg") and not found.all("img")
    assert "1.25 dB" in found.text and "Pictures" not in found.text


def test_any_text_is_text() -> None:
    sets = [DetailSet(name=HOSTILE, holds=HOSTILE, metrics=[replace(PSNR, name=f"psnr@y601{HOSTILE}"), LPIPS])]
    told = replace(TOLD, model=HOSTILE, summary=HOSTILE, sets=sets, walks=[a_walk(HOSTILE)], facts={HOSTILE: HOSTILE})
    page = detail_page(told)
    assert "<script" not in page
    assert Reader(page).text.count(HOSTILE) >= 8


def test_the_tables_have_bicubic_and_every_detail() -> None:
    lines = detail_markdown(TOLD).splitlines()
    place = lines.index("## Set5, x2, bicubic: 5 images")
    assert lines[place + 2 : place + 8] == [
        "| detail | psnr@y601,crop2 | lpips@squeeze |",
        "| --- | --: | --: |",
        "| bicubic | 33.70 | 0.1000 |",
        "| 0 | 38.00 | 0.0500 |",
        "| 0.5 | 37.50 | 0.0400 |",
        "| 1 | 36.75 | 0.0300 |",
    ]
