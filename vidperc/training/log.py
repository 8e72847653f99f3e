"""The log of a training: a table, a page with curves and pictures, and event files where they are asked for.

A log never stops a training: what cannot be written is said once, and written later if that can be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidperc.report.pictures import Strip, strip
from vidperc.report.training_page import Curves, First, TrainingPage, read_first, training_page
from vidperc.report.whole_file import replace_text
from vidperc.training.events import Events
from vidperc.training.loop import Progress
from vidperc.training.rows import Row, read_rows, rows_text

_ROWS = 500  # about, beside those of checkpoints
_PICTURE_BYTES = 2_200_000  # of a page, so that it stays below 3 MB
_BYTES_A_PIXEL = 4  # of a PNG that cannot be made smaller, as text
_LARGEST_SIDE = 128  # of a picture in the page, pixels

Pixels = NDArray[np.uint8]  # (H,W,3) RGB


@dataclass(frozen=True)
class HeldOut:
    """What a network made of a picture that it never learns from.

    small: (h,w,3) as it was given. made, true: (h*s,w*s,3), for a whole factor s. All uint8 RGB.
    """

    title: str
    small: Pixels
    made: Pixels
    true: Pixels


def log_paths(name: str, folder: Path) -> tuple[Path, Path, Path]:
    """Where the table, the page and the folder of event files of a training are."""
    return folder / f"{name}.csv", folder / f"{name}.html", folder / f"{name}.events"


def open_log(
    name: str,
    folder: Path,
    *,
    summary: str,
    facts: Mapping[str, str],
    steps: int,
    tensorboard: bool,
    say: Callable[[str], None],
) -> Log:
    """The log of the training of this name, which goes on from what a run before told.

    folder: gets NAME.csv, NAME.html, and NAME.events for TensorBoard. summary, facts: for the page, any text.
    steps: of the whole training. say: is told what could not be written.
    Raises VidpercError for a NAME.csv that is something else, or when TensorBoard's package is missing.
    """
    table, page, events = log_paths(name, folder)
    rows = read_rows(table)
    return Log(
        rows,
        read_first(page) if rows else None,
        table,
        page,
        Events(events) if tensorboard else None,
        name=name,
        summary=summary,
        facts=facts,
        steps=steps,
        say=say,
    )


class Log:
    """Takes what a training tells: give `record` and `measured` to the loop, and `strips` to what validates."""

    def __init__(
        self,
        rows: list[Row],
        first: First | None,
        table: Path,
        page: Path,
        events: Events | None,
        *,
        name: str,
        summary: str,
        facts: Mapping[str, str],
        steps: int,
        say: Callable[[str], None],
    ) -> None:
        self._rows, self._first, self._events = rows, first, events
        self._table, self._page = table, page
        self._name, self._summary, self._facts, self._steps, self._say = name, summary, facts, steps, say
        self._every = math.ceil(steps / _ROWS)
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._strips: list[Strip] = []
        self._shown: Sequence[HeldOut] = ()
        self._untold = True
        self._failed: set[Path] = set()

    def record(self, progress: Progress) -> None:
        """Take what is told of every step; makes a row of it every so many steps, and at checkpoints."""
        if self._untold:
            # The steps from here on are taken again.
            self._forget(progress.step - 1)
        for name, value in progress.latest.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1
        if not progress.saved and progress.step % self._every:
            return
        means = {name: _rounded(total / self._counts[name]) for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        loss = means.pop("loss")
        told = (progress.learning_rate, progress.seconds, progress.waited)
        row = Row(progress.step, loss, *(_rounded(value) for value in told), terms=means)
        self._rows.append(row)
        self._write_table()
        self._add_events(_scalars(row), {}, row.step)

    def strips(self, pictures: Sequence[HeldOut]) -> None:
        """Take what the averaged network makes of held-out pictures, the same ones each time; for the next `measured`.

        Raises ValueError for sizes that do not fit.
        """
        least = 4 * max(1, len(pictures)) * _BYTES_A_PIXEL
        side = min(_LARGEST_SIDE, math.isqrt(_PICTURE_BYTES // least))
        self._shown = pictures
        self._strips = [strip(held.title, held.small, held.made, held.true, side=side) for held in pictures]

    def measured(self, step: int, figures: Mapping[str, float]) -> None:
        """Take the figures of a checkpoint, of the one that a run goes on from, too; writes the page anew."""
        goes_on = self._untold
        if goes_on:
            self._forget(step)
        row = self._rows[-1] if self._rows else None
        if row is None or row.step != step:
            return  # the log was removed, and that of the steps up to here is lost
        row.figures = {name: _rounded(value) for name, value in figures.items()}
        self._write_table()
        self._write_page(row)
        # From the step that a run goes on from, events of the run before are hidden.
        values = _scalars(row) if goes_on else {f"figures/{name}": value for name, value in row.figures.items()}
        pictures = {held.title: np.concatenate([held.made, held.true], axis=1) for held in self._shown}
        self._add_events(values, pictures, step)

    def close(self) -> None:
        """Write what is left of the event files."""
        if self._events is not None:
            self._attempt(log_paths(self._name, self._page.parent)[2], self._events.close)

    def _forget(self, step: int) -> None:
        """Forget what a run before told of the steps after this one."""
        self._untold = False
        self._rows = [row for row in self._rows if row.step <= step]
        if self._first is not None and self._first.step > step:
            self._first = None

    def _write_table(self) -> None:
        self._attempt(self._table, lambda: replace_text(self._table, rows_text(self._rows)))

    def _write_page(self, row: Row) -> None:
        told = TrainingPage(
            name=self._name,
            summary=self._summary,
            step=row.step,
            steps=self._steps,
            seconds=row.seconds,
            waited=row.waited,
            curves=_curves(self._rows),
            facts=self._facts,
            first=self._first if self._first is not None and self._first.step < row.step else None,
            strips=self._strips,
            log=self._table.name,
        )
        self._attempt(self._page, lambda: replace_text(self._page, training_page(told)))
        if self._first is None and self._strips:
            self._first = First(step=row.step, made={strip.title: strip.made for strip in self._strips})

    def _add_events(self, values: Mapping[str, float], pictures: Mapping[str, Pixels], step: int) -> None:
        events = self._events
        if events is None:
            return

        def add() -> None:
            events.scalars(values, step)
            events.pictures(pictures, step)
            if pictures:
                events.flush()

        self._attempt(log_paths(self._name, self._page.parent)[2], add)

    def _attempt(self, path: Path, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            if path not in self._failed:
                self._failed.add(path)
                why = error.strerror or " ".join(str(error).split())
                self._say(f"{path}: cannot be written ({why}); the training goes on, and it is tried again")
        else:
            self._failed.discard(path)


def _curves(rows: Sequence[Row]) -> Curves:
    terms = dict.fromkeys(name for row in rows for name in row.terms)
    # Between validations there are no gaps: their points are those of the checkpoints.
    judged = [row for row in rows if row.figures]
    figures = dict.fromkeys(name for row in judged for name in row.figures)
    return Curves(
        loss=[(row.step, row.loss) for row in rows],
        terms={name: [(row.step, row.terms.get(name)) for row in rows] for name in terms},
        figures={name: [(row.step, row.figures.get(name)) for row in judged] for name in figures},
        run={
            "learning rate": [(row.step, row.learning_rate) for row in rows],
            "seconds a step": [(row.step, row.seconds) for row in rows],
            "share of time waiting": [(row.step, row.waited) for row in rows],
        },
    )


def _scalars(row: Row) -> dict[str, float]:
    return {
        "loss": row.loss,
        "learning_rate": row.learning_rate,
        "pace/seconds_a_step": row.seconds,
        "pace/share_waited": row.waited,
        **{f"terms/{name}": value for name, value in row.terms.items()},
        **{f"figures/{name}": value for name, value in row.figures.items()},
    }


def _rounded(value: float) -> float:
    """As it is read again from the table, so that a resumed training shows what one in one go does."""
    return float(f"{value:.6g}")
