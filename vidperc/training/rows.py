"""The table of a training: a CSV file of what it told, row by row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vidperc.errors import VidpercError

_ALWAYS = ("step", "loss", "learning_rate", "seconds_a_step", "share_waited")
_TERM, _FIGURE = "term/", "figure/"


@dataclass
class Row:
    """What is told of a step: of the steps since the row before, and of a validation where there was one.

    loss, terms: means. seconds: a step. waited: share of the time in which nothing was learnt, 0 to 1.
    """

    step: int
    loss: float
    learning_rate: float
    seconds: float
    waited: float
    terms: dict[str, float] = field(default_factory=dict[str, float])
    figures: dict[str, float] = field(default_factory=dict[str, float])

    def cells(self) -> dict[str, str]:
        """By column; every number with six digits."""
        always = (self.loss, self.learning_rate, self.seconds, self.waited)
        return {
            "step": str(self.step),
            **{name: _told(value) for name, value in zip(_ALWAYS[1:], always, strict=True)},
            **{_TERM + name: _told(value) for name, value in self.terms.items()},
            **{_FIGURE + name: _told(value) for name, value in self.figures.items()},
        }


def rows_text(rows: Sequence[Row]) -> str:
    """The rows as CSV: first the columns that every training has, then terms and figures as they first came."""
    told = [row.cells() for row in rows]
    named = dict.fromkeys(name for cells in told for name in cells)
    terms, figures = ([name for name in named if name.startswith(kind)] for kind in (_TERM, _FIGURE))
    file = io.StringIO()
    writer = csv.DictWriter(file, [*_ALWAYS, *terms, *figures], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(told)
    return file.getvalue()


def read_rows(path: Path) -> list[Row]:
    """The rows of a file that `rows_text` made; none where there is no file.

    Raises VidpercError for a file that cannot be read or is something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        told = " ".join(str(error).split())
        raise VidpercError(f"{path}: cannot be read ({told}), wanted the log of this training; move it away") from error
    reader = csv.DictReader(io.StringIO(text))
    names = reader.fieldnames or []
    if tuple(names[: len(_ALWAYS)]) != _ALWAYS or not all(name.startswith((_TERM, _FIGURE)) for name in _more(names)):
        raise _other(path, 1, ",".join(names)[:80])
    rows: list[Row] = []
    for line, cells in enumerate(reader, 2):
        try:
            rows.append(_row(cells))
        except (ValueError, TypeError, AttributeError) as error:
            raise _other(path, line, ",".join(str(value) for value in cells.values())[:80]) from error
        if len(rows) > 1 and rows[-1].step <= rows[-2].step:
            raise _other(path, line, f"step {rows[-1].step} after {rows[-2].step}")
    return rows


def _more(names: Iterable[str]) -> list[str]:
    return list(names)[len(_ALWAYS) :]


def _row(cells: dict[str, str]) -> Row:
    loss, rate, seconds, waited = (float(cells[name]) for name in _ALWAYS[1:])
    row = Row(int(cells["step"]), loss, rate, seconds, waited)
    for name in _more(cells):
        if cells[name] != "":
            kind, values = (_TERM, row.terms) if name.startswith(_TERM) else (_FIGURE, row.figures)
            values[name.removeprefix(kind)] = float(cells[name])
    return row


def _other(path: Path, line: int, got: str) -> VidpercError:
    return VidpercError(f"{path}:{line}: got {got!r}, wanted the log of this training; move the file away")


def _told(value: float) -> str:
    return f"{value:.6g}"
