"""The frame of a page: one file that asks for no other, light or dark as the reader has it, without scripts."""

from __future__ import annotations

from vidperc.report.markup import Html, element, joined

_STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fcfcfa; --card: #ffffff; --ink: #1b1d21; --soft: #5f646d; --faint: #6c717b;
  --edge: #e4e4df; --grid: #ecece8; --line: #1f5fbf; --raw: #b9cdec; --good: #0f7a5a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #131518; --card: #1a1d21; --ink: #e9eaec; --soft: #a5abb5; --faint: #8f96a1;
    --edge: #2b2f36; --grid: #262a30; --line: #82b1ff; --raw: #37517c; --good: #5fcfa8;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 1108px; padding: 56px 24px 80px; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: break-word;
}
p { margin: 0; max-width: 68ch; text-wrap: pretty; }
h1 { margin: 2px 0 8px; font-size: 40px; line-height: 1.15; font-weight: 650; letter-spacing: -0.022em; }
h2 { margin: 64px 0 6px; font-size: 22px; line-height: 1.3; font-weight: 620; letter-spacing: -0.011em; }
h2 + p { margin-bottom: 20px; }
h3 { margin: 28px 0 10px; font-size: 15px; font-weight: 600; }
.eyebrow { color: var(--soft); font-size: 13px; letter-spacing: 0.04em; }
.lead { font-size: 18px; color: var(--soft); }
.small { font-size: 14px; color: var(--soft); }
.bar { margin: 30px 0 10px; height: 6px; border-radius: 3px; background: var(--edge); overflow: hidden; }
.bar div { height: 100%; background: var(--line); }
.split { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 2px 24px; max-width: none; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 14px; margin-top: 30px; }
.tile, .chart { background: var(--card); border: 1px solid var(--edge); border-radius: 10px; }
.tile { padding: 14px 18px 16px; }
.tile b { display: block; font-size: 29px; line-height: 1.25; font-weight: 600; letter-spacing: -0.02em; }
.charts { display: grid; gap: 14px; margin-top: 14px; }
.halves { grid-template-columns: repeat(2, minmax(0, 1fr)); }
.thirds { grid-template-columns: repeat(3, minmax(0, 1fr)); }
.chart {
  display: flex; flex-direction: column; justify-content: space-between; margin: 0; padding: 14px 16px 8px;
  min-width: 0; overflow-x: auto;
}
.chart figcaption { display: flex; justify-content: space-between; gap: 16px; margin-bottom: 8px; font-size: 15px; }
.chart figcaption span:first-child { font-weight: 600; min-width: 0; }
.chart figcaption span:last-child { color: var(--soft); white-space: nowrap; }
svg { display: block; width: 100%; height: auto; }
.mark { font-size: 12px; fill: var(--faint); }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.grid { stroke: var(--grid); }
.base { stroke: var(--edge); }
.line, .raw { fill: none; stroke: var(--line); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.raw { stroke: var(--raw); stroke-width: 1.2; }
.dot { fill: var(--line); }
.figures .line { stroke: var(--good); }
.figures .dot { fill: var(--good); }
.run .line { stroke: var(--faint); stroke-width: 1.6; }
.run .dot { fill: var(--faint); }
.strip { display: grid; grid-template-columns: repeat(4, 256px); gap: 12px; }
.strip figure { margin: 0; min-width: 0; }
.strip img { display: block; width: 100%; height: auto; border-radius: 6px; image-rendering: pixelated; }
.strip figcaption {
  display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 10px; padding-top: 6px; font-size: 14px;
}
.strip figcaption span { color: var(--soft); }
dl { display: grid; grid-template-columns: minmax(110px, max-content) 1fr; gap: 9px 28px; margin: 18px 0 0; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; white-space: pre-line; }
code { font: 14px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.wide { margin: 16px 0 12px; overflow-x: auto; }
a { color: var(--line); }
table { border-collapse: collapse; font-size: 14px; min-width: 60%; }
th, td { padding: 7px 0 7px 28px; text-align: right; border-bottom: 1px solid var(--edge); white-space: nowrap; }
th:first-child, td:first-child { padding-left: 0; text-align: left; }
th { color: var(--soft); font-weight: 500; vertical-align: bottom; }
@media (max-width: 860px) {
  body { padding: 32px 16px 56px; }
  h1 { font-size: 31px; }
  .halves, .thirds { grid-template-columns: minmax(0, 1fr); }
  .whole svg { min-width: 760px; }
  .strip { grid-template-columns: repeat(2, minmax(0, 256px)); }
}
@media (max-width: 480px) {
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 12px; }
}
@media print { .chart, .strip, .tile { break-inside: avoid; } }
"""


def page(title: str, *sections: Html) -> str:
    """A whole page with these sections, in English."""
    head = element(
        "head",
        None,
        element("meta", {"charset": "utf-8"}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("title", None, title),
        element("style", None, Html(_STYLE)),
    )
    body = element("body", None, element("main", None, *sections))
    return joined(Html("<!doctype html>\n"), element("html", {"lang": "en"}, head, Html("\n"), body), Html("\n"))


def section(name: str, told: str, *inside: Html) -> Html:
    """A part of a page under a heading, with a line of text that says what one sees, or none."""
    lines = [element("p", {"class": "small"}, told)] if told else []
    return element("section", None, element("h2", None, name), *lines, *inside)


def facts_list(facts: dict[str, str]) -> Html:
    """Names and what there is to say of each."""
    parts: list[Html] = []
    for name, fact in facts.items():
        told = element("code", None, fact) if name == "command" else fact
        parts += [element("dt", None, name), element("dd", None, told)]
    return element("dl", None, *parts)


def table(head: list[str], rows: list[list[str]]) -> Html:
    """A table of figures, which scrolls where it is too wide."""
    top = element("tr", None, *(element("th", {"scope": "col"}, name) for name in head))
    lines = [element("tr", None, *(element("td", None, value) for value in row)) for row in rows]
    inside = element("table", None, element("thead", None, top), element("tbody", None, *lines))
    return element("div", {"class": "wide"}, inside)
