"""The page of a training: how its loss and its figures went, what its pictures look like, how it was made."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from vidperc.report.curves import HALF, THIRD, WIDE, Point, Size, chart, latest
from vidperc.report.markup import Html, element
from vidperc.report.page import facts_list, page, section, table
from vidperc.report.pictures import Shown, Strip

_TABLE_ROWS = 20
_URI = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]+")

Line = Sequence[Point]


@dataclass(frozen=True, kw_only=True)
class Curves:
    """What was told over the steps: points upwards in steps, a value of None where there is none.

    terms: of the loss. figures: of validations. run: what else there is to watch, as the learning rate.
    """

    loss: Line
    terms: Mapping[str, Line]
    figures: Mapping[str, Line]
    run: Mapping[str, Line]


@dataclass(frozen=True, kw_only=True)
class First:
    """What the network made of the held-out pictures at the first checkpoint, by their titles."""

    step: int
    made: Mapping[str, Shown]


@dataclass(frozen=True, kw_only=True)
class TrainingPage:
    """All that the page of a training shows.

    step: of so many `steps`. seconds: a step. waited: share of the time in which nothing was learnt, 0 to 1.
    facts: how the network is made, by their names; "command" is set as one. first, strips: held-out pictures, at the
    first and at this checkpoint. log: name of the file beside the page that has every row.
    """

    name: str
    summary: str
    step: int
    steps: int
    seconds: float
    waited: float
    curves: Curves
    facts: Mapping[str, str]
    first: First | None
    strips: Sequence[Strip]
    log: str


def training_page(told: TrainingPage) -> str:
    """The page as HTML. Any text may stand in it."""
    sections = [_head(told), _tiles(told), _curves(told)]
    if told.strips:
        sections.append(_pictures(told))
    if told.facts:
        sections.append(section("How it is made", "", facts_list(dict(told.facts))))
    sections.append(_checkpoints(told))
    return page(f"{told.name}, step {told.step:,}", *sections)


def read_first(path: Path) -> First | None:
    """The pictures of the first checkpoint in a page that was written before; None without any."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # they decorate the page, and nothing else depends on them
        return None
    reader = _FirstReader()
    reader.feed(text)
    return First(step=reader.step, made=reader.made) if reader.made else None


class _FirstReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.step = 0
        self.made: dict[str, Shown] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        had = {name: value or "" for name, value in attrs}
        if (
            tag == "img"
            and "data-first" in had
            and _URI.fullmatch(had.get("src", ""))
            and had["data-first"].isdecimal()
        ):
            self.step = int(had["data-first"])
            self.made[had.get("data-title", "")] = Shown(had["src"], had.get("data-note", ""))


def short(value: float) -> str:
    """A figure with about four digits."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    size = abs(value)
    if not 1e-2 <= size < 1e5:
        mantissa, power = f"{value:.2e}".split("e")
        return f"{mantissa}e{int(power)}"
    return f"{value:.{2 if size >= 10 else 3 if size >= 1 else 4}f}"


def _head(told: TrainingPage) -> Html:
    done = told.step >= told.steps
    share = 100 * told.step / told.steps
    pace = f"{_seconds(told.seconds)} a step, {100 * told.waited:.0f} % of it waiting for data"
    left = "finished" if done else f"about {_duration(told.seconds * (told.steps - told.step))} left"
    return element(
        "header",
        None,
        element("p", {"class": "eyebrow"}, "vidperc · a training"),
        element("h1", None, told.name),
        element("p", {"class": "lead"}, told.summary),
        element("div", {"class": "bar"}, element("div", {"style": f"width:{share:.1f}%"})),
        element(
            "p",
            {"class": "small split"},
            element("span", None, f"step {told.step:,} of {told.steps:,}, {left}"),
            element("span", None, pace),
        ),
    )


def _tiles(told: TrainingPage) -> Html:
    """The figures as they are, and as they were at first."""
    tiles: list[Html] = []
    for name, line in told.curves.figures.items():
        found = _numbers(line)
        if found:
            first = f"{short(found[0][1])} at step {found[0][0]:,.0f}" if len(found) > 1 else "the first checkpoint"
            tiles.append(_tile(name, short(found[-1][1]), first))
    return element("div", {"class": "tiles"}, *tiles) if tiles else Html("")


def _tile(name: str, value: str, below: str) -> Html:
    lines = [element("span", {"class": "small"}, name), element("b", None, value)]
    return element("div", {"class": "tile"}, *lines, element("span", {"class": "small"}, below))


def _curves(told: TrainingPage) -> Html:
    curves, last = told.curves, told.step
    groups = [_group([("loss", curves.loss)], last, WIDE, "charts whole", smooth=True)]
    if curves.terms and list(curves.terms.values()) != [curves.loss]:
        groups.append(_group(list(curves.terms.items()), last, THIRD, "charts thirds", smooth=True))
    figures = list(curves.figures.items())
    size, kind = {1: (WIDE, "whole"), 2: (HALF, "halves"), 4: (HALF, "halves")}.get(len(figures), (THIRD, "thirds"))
    if figures:
        groups.append(_group(figures, last, size, f"charts figures {kind}", smooth=False))
    groups.append(_group(list(curves.run.items()), last, THIRD, "charts run thirds", smooth=False))
    told_of = (
        "Loss and terms are means over the steps since the point before, in a lighter tone, and smoothed. "
        "Figures are of the averaged network on pictures it never learns from."
    )
    return section("Curves", told_of, *groups)


def _group(lines: list[tuple[str, Line]], last: int, size: Size, kind: str, *, smooth: bool) -> Html:
    made: list[Html] = []
    for name, line in lines:
        end = latest(line, smooth=smooth)
        told = [element("span", None, name), element("span", None, "" if end is None else short(end))]
        caption = element("figcaption", None, *told)
        powers = None if smooth else False
        drawn = chart(name, line, last_step=last, size=size, smooth=smooth, powers=powers)
        made.append(element("figure", {"class": "chart"}, caption, drawn))
    return element("div", {"class": kind}, *made)


def _pictures(told: TrainingPage) -> Html:
    rows: list[Html] = []
    for strip in told.strips:
        now = {"data-first": told.step} if told.first is None else {}
        parts = [_picture(strip.title, "bicubic", strip.given, strip.side)]
        if told.first is not None and strip.title in told.first.made:
            shown = told.first.made[strip.title]
            kept = {"data-first": told.first.step}
            parts.append(_picture(strip.title, f"step {told.first.step:,}", shown, strip.side, kept))
        parts.append(_picture(strip.title, f"step {told.step:,}", strip.made, strip.side, now))
        parts.append(_picture(strip.title, "truth", strip.truth, strip.side))
        rows += [element("h3", None, strip.title), element("div", {"class": "strip"}, *parts)]
    told_of = (
        "Of held-out pictures the part in which bicubic lacks most, every pixel twice as large. "
        "The figure is the Y-PSNR of the whole picture."
    )
    return section("Pictures", told_of, *rows)


def _picture(title: str, name: str, shown: Shown, side: int, more: Mapping[str, object] | None = None) -> Html:
    kept = {"data-title": title, "data-note": shown.note, **more} if more else {}
    image = element("img", {"src": shown.uri, "alt": f"{title}, {name}", "width": side, "height": side, **kept})
    caption = element("figcaption", None, element("b", None, name), element("span", None, shown.note))
    return element("figure", None, image, caption)


def _checkpoints(told: TrainingPage) -> Html:
    """The figures in numbers, of evenly chosen checkpoints."""
    figures = told.curves.figures
    steps = sorted({step for line in figures.values() for step, _ in _numbers(line)})
    count = min(len(steps), _TABLE_ROWS)
    chosen = [steps[round(place * (len(steps) - 1) / max(1, count - 1))] for place in range(count)]
    loss = dict(told.curves.loss)
    values = [loss, *(dict(line) for line in figures.values())]
    rows = [[f"{step:,.0f}", *(_cell(line.get(step)) for line in values)] for step in chosen]
    link = element("p", {"class": "small"}, "Every row is in ", element("a", {"href": told.log}, told.log), ".")
    inside = [table(["step", "loss", *figures], rows)] if rows else []
    return section("Checkpoints", "", *inside, link)


def _cell(value: float | None) -> str:
    return "" if value is None else short(value)


def _numbers(line: Line) -> list[tuple[float, float]]:
    return [(step, value) for step, value in line if value is not None and math.isfinite(value)]


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _duration(seconds: float) -> str:
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 1.5 * unit:
            return f"{seconds / unit:.2g} {name}" if unit > 60 else f"{seconds / unit:.0f} {name}"
    return f"{max(1, round(seconds))} seconds"
