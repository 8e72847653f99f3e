"""The page of a network and its perceptual twin: what the slider between them gives, and what it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vidperc.report.markup import Html, element
from vidperc.report.page import facts_list, page, section, table
from vidperc.report.pictures import Walk
from vidperc.report.trade import Point, trade

# What is drawn over what: the beginnings of the names of metrics.
_CHARTS = (("psnr@y601", "lpips"), ("lpips", "warping-error"), ("lpips", "tof"), ("psnr@y601", "warping-error"))
_TOLD = ("psnr@y601", "lpips", "warping-error", "tof")  # of which the change is told above the charts


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A metric on a set: its value at each detail, and that of bicubic; None where there is none.

    better: "higher" or "lower". form: of the numbers, as ".2f".
    """

    name: str
    unit: str
    better: str
    form: str
    along: Sequence[float | None]
    bicubic: float | None


@dataclass(frozen=True, kw_only=True)
class DetailSet:
    """A test set, what it holds ("5 images"), and what was measured on it."""

    name: str
    holds: str
    metrics: Sequence[Measured]


@dataclass(frozen=True, kw_only=True)
class DetailPage:
    """All that the page shows.

    details: that were tried, upwards from 0 to 1. walks: parts of pictures at each detail.
    facts: how the figures were found, by their names; "command" is set as one.
    """

    model: str
    summary: str
    details: Sequence[float]
    sets: Sequence[DetailSet]
    walks: Sequence[Walk]
    facts: Mapping[str, str]


def detail_page(told: DetailPage) -> str:
    """The page as HTML, one file that asks for no other. Any text may stand in it."""
    sections = [_head(told), *(_set(told.details, one) for one in told.sets)]
    if told.walks:
        sections.append(_pictures(told.walks))
    sections.append(section("How it was measured", "", facts_list(dict(told.facts))))
    return page(f"{told.model}, from fidelity to detail", *sections)


def detail_markdown(told: DetailPage) -> str:
    """The tables of the page in Markdown."""
    parts = [f"# {told.model}, from fidelity to detail", told.summary]
    for one in told.sets:
        head, rows = _table(told.details, one)
        lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
        parts += [f"## {one.name}: {one.holds}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    return "\n\n".join(parts) + "\n"


def _head(told: DetailPage) -> Html:
    return element(
        "header",
        None,
        element("p", {"class": "eyebrow"}, "vidperc · from fidelity to detail"),
        element("h1", None, told.model),
        element("p", {"class": "lead"}, told.summary),
    )


def _set(details: Sequence[float], one: DetailSet) -> Html:
    tiles = [_tile(metric) for metric in one.metrics if metric.name.startswith(_TOLD) and _ends(metric) is not None]
    charts: list[Html] = []
    for across, up in _CHARTS:
        pair = [next((metric for metric in one.metrics if metric.name.startswith(name)), None) for name in (across, up)]
        if pair[0] is not None and pair[1] is not None:
            charts += _chart(details, pair[0], pair[1])
    told = f"{one.holds}. What changes from detail {details[0]:g} to {details[-1]:g}; in the charts points are details."
    head, rows = _table(details, one)
    inside = [element("div", {"class": "tiles"}, *tiles)] if tiles else []
    if charts:
        inside.append(element("div", {"class": "charts figures halves"}, *charts))
    return section(one.name, told, *inside, table(head, rows))


def _tile(metric: Measured) -> Html:
    """How a figure changes from one end to the other: in decibels where it has those, else as a share."""
    ends = _ends(metric)
    assert ends is not None
    first, last = ends
    shown = _share(first, last) if metric.unit != "dB" else f"{last - first:+.2f} dB"
    low, high = (_number(value, metric) for value in (first, last))
    return element(
        "div",
        {"class": "tile"},
        element("span", {"class": "small"}, metric.name),
        element("b", None, shown.replace("-", "−")),
        element("span", {"class": "small"}, f"{low} to {high}, {metric.better} is better"),
    )


def _share(first: float, last: float) -> str:
    return f"{100 * (last / first - 1):+.0f} %" if first else "-"


def _ends(metric: Measured) -> tuple[float, float] | None:
    first, last = metric.along[0], metric.along[-1]
    return None if first is None or last is None else (first, last)


def _chart(details: Sequence[float], across: Measured, up: Measured) -> list[Html]:
    points = [
        Point(f"{detail:g}", x, y)
        for detail, x, y in zip(details, across.along, up.along, strict=True)
        if x is not None and y is not None and math.isfinite(x) and math.isfinite(y)
    ]
    if not points:
        return []
    short, over = up.name.partition("@")[0], across.name.partition("@")[0]
    ends = f"detail {details[0]:g} to {details[-1]:g}"
    caption = element("figcaption", None, element("span", None, f"{short} over {over}"), element("span", None, ends))
    return [element("figure", {"class": "chart"}, caption, trade(_axis(across), _axis(up), points))]


def _axis(metric: Measured) -> str:
    unit = f", {metric.unit}" if metric.unit else ""
    return f"{metric.name}{unit}, {metric.better} is better"


def _table(details: Sequence[float], one: DetailSet) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of a set's table: bicubic, then every detail."""
    head = ["detail", *(metric.name for metric in one.metrics)]
    rows = [["bicubic", *(_number(metric.bicubic, metric) for metric in one.metrics)]]
    for place, detail in enumerate(details):
        rows.append([f"{detail:g}", *(_number(metric.along[place], metric) for metric in one.metrics)])
    return head, rows


def _number(value: float | None, metric: Measured) -> str:
    return "-" if value is None else f"{value:{metric.form}}"


def _pictures(walks: Sequence[Walk]) -> Html:
    rows: list[Html] = []
    for walk in walks:
        figures: list[Html] = []
        for name, shown in walk.shown.items():
            size = {"width": walk.side, "height": walk.side}
            image = element("img", {"src": shown.uri, "alt": f"{walk.title}, {name}", **size})
            told = element("figcaption", None, element("b", None, name), element("span", None, shown.note))
            figures.append(element("figure", None, image, told))
        rows += [element("h3", None, walk.title), element("div", {"class": "strip"}, *figures)]
    told_of = (
        "The part in which both ends differ most, every pixel twice as large, with the Y-PSNR of the whole picture. "
        "Over time: the middle row of pixels of one frame below that of the one before; flicker shows as stripes."
    )
    return section("Pictures", told_of, *rows)
