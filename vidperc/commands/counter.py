"""Frames done of a command that works through videos, on stderr."""

from __future__ import annotations

from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

# Without a terminal a line is printed this often, in seconds.
_PLAIN_EVERY = 30.0


class Counter:
    """A bar on a terminal, a line now and then elsewhere. A context manager.

    begin: names what is done next, and what is counted. said: how many are done, and of how many.
    """

    def __init__(self, *, show: bool) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._plain = show and not self._console.is_terminal
        self._printed = perf_counter()
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not show or self._plain)
        self._name, self._counted = "", "frames"
        self._task: TaskID | None = None

    def begin(self, name: str, *, counted: str = "frames") -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._name, self._counted = name, counted
        self._task = self._bar.add_task(name, total=None)

    def said(self, done: int, total: int) -> None:
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=total)
        if self._plain and perf_counter() - self._printed > _PLAIN_EVERY:
            self._printed = perf_counter()
            self._console.print(f"{self._name}: {done} of {total} {self._counted}", markup=False)

    def __enter__(self) -> Counter:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
