"""What the user sees while videos are worked on: progress on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vidperc.engine.estimate import Estimate
from vidperc.engine.plan import Plan
from vidperc.engine.report import JobReport, bottleneck
from vidperc.engine.watcher import Watcher
from vidperc.video.cuts import Cut
from vidperc.video.fates import sentences
from vidperc.video.packets import NO_DAMAGE

log = logging.getLogger("vidperc")

# Without a terminal a line is printed this often, in seconds, so that logs of long runs stay readable.
PLAIN_EVERY = 30.0

# Lines about what was converted, and about what was dropped; a report has the others.
MOST_TOLD = 8


class Display(Watcher):
    """Shows jobs on stderr; results go to stdout. A context manager.

    results_to_stderr: they do not, for stdout carries video.
    """

    def __init__(self, *, show_progress: bool, results_to_stderr: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._out = Console(stderr=results_to_stderr, highlight=False, soft_wrap=True)
        self._live = show_progress and self._console.is_terminal
        self._plain = show_progress and not self._live
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._name = ""
        self._total = 0
        self._first = (0.0, 0)
        self._printed = 0.0

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def begin(self, source: Path, number: int, count: int) -> None:
        """A new job starts."""
        self._name = source.name if count == 1 else f"[{number}/{count}] {source.name}"

    def said(self, text: str) -> None:
        log.info("%s: %s", self._name, text)

    def chose(self, text: str) -> None:
        self._line(f"{self._name}: {text}")

    def warned(self, text: str) -> None:
        self._line(f"{self._name}: {text}")

    def scanned(self, frames: int, total: int) -> None:
        self._did("looking for cuts", frames, total)

    def drew(self, frames: int, total: int) -> None:
        """So many frames of the video of --debug-motion are drawn."""
        self._did("drawing its motion", frames, total)

    def drawn(self, text: str) -> None:
        """The video of --debug-motion is whole."""
        self._stop()
        self._out.print(text, markup=False)

    def _did(self, what: str, frames: int, total: int) -> None:
        if not self._live:
            return
        name = f"{self._name}: {what}"
        if self._progress is None or self._task is None:
            self._begin_bar(name, total=total, completed=0)
        assert self._progress is not None and self._task is not None
        self._progress.update(self._task, description=name, completed=frames, total=total)

    def found(self, cuts: Sequence[Cut], frames: int, seconds: float) -> None:
        self._stop()
        if self._live or self._plain:
            fades = sum(cut.kind == "fade" for cut in cuts)
            spelled = f"{len(cuts)} cut{'' if len(cuts) == 1 else 's'}" + (f", {fades} of them fades," if fades else "")
            self._line(f"{self._name}: {spelled} found in {frames} frames, in {seconds:.1f} s")

    def planned(self, plan: Plan, finished: int) -> None:
        self._total = plan.frames
        self._first = (perf_counter(), finished)
        self._printed = perf_counter()
        resumed = f", {finished} of them finished by an earlier run" if finished else ""
        if self._live or self._plain:
            self._line(
                f"{self._name}: {plan.frames} frames{resumed}, {plan.source_width}x{plan.source_height} to "
                f"{plan.width}x{plan.height}, {plan.encoder.codec} {plan.encoder.pix_fmt}, "
                f"{len(plan.segments)} segments"
            )
        for guess in plan.color.guessed:
            log.info("%s: the source does not state its %s", self._name, guess)
        if self._live:
            self._begin_bar(self._name, total=plan.frames, completed=finished)

    def _begin_bar(self, name: str, *, total: int, completed: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[slow]}"),
            console=self._console,
            transient=True,
        )
        self._progress.start()
        self._task = self._progress.add_task(name, total=total, completed=completed, rate="", slow="")

    def progressed(self, frames: int, seconds: Mapping[str, float]) -> None:
        since, before = self._first
        rate = (frames - before) / max(perf_counter() - since, 1e-6)
        slowest = bottleneck(seconds)
        slow = f"slowest: {slowest}" if slowest else ""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=frames, rate=f"{rate:.1f} fps", slow=slow)
        elif self._plain and perf_counter() - self._printed > PLAIN_EVERY:
            self._printed = perf_counter()
            left = (self._total - frames) / rate if rate else 0
            self._line(f"{self._name}: {frames} of {self._total} frames, {rate:.1f} fps, {left:.0f} s left, {slow}")

    def joining(self) -> None:
        self._stop()

    def finished(self, report: JobReport) -> None:
        """A job is done: what came of it, and all that the user should know."""
        self._stop()
        if report.already_done:
            self._out.print(f"{report.output}: already done, nothing to do (-y does it again)", markup=False)
            return
        self._fates("converted", sentences(report.fidelity, "converted", unasked=True))
        self._fates("not kept", sentences(report.fidelity, "dropped", unasked=True))
        of_guide = {name: n for name, n in report.damage.items() if n and name.startswith("guide_")}
        damage = {name: n for name, n in report.damage.items() if n and name != "packets" and name not in of_guide}
        for name in NO_DAMAGE:  # told as what became of them
            damage.pop(name, None)
        if report.frames_out != report.frames_in:
            damage["frames announced"] = report.frames_in
            damage["frames decoded"] = report.frames_out
        if damage:
            said = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in damage.items())
            self._line(f"{self._name}: the source is damaged: {said}; all that decodes is in the output")
        if of_guide:
            said = ", ".join(f"{n} {name.removeprefix('guide_').replace('_', ' ')}" for name, n in of_guide.items())
            self._line(f"{self._name}: the guide is damaged: {said}; frames that it does not show stay as they are")
        wall = report.seconds["wall"]
        self._out.print(
            f"{report.output}: {report.frames_out} frames, {report.width}x{report.height}, "
            f"{report.output_bytes / 1e6:.1f} MB, in {wall:.1f} s ({report.frames_out / wall:.1f} fps, "
            f"slowest: {report.bottleneck or 'nothing'})",
            markup=False,
        )

    def _fates(self, what: str, told: list[str]) -> None:
        for sentence in told[:MOST_TOLD]:
            self._line(f"{self._name}: {what}: {sentence}")
        if len(told) > MOST_TOLD:
            self._line(f"{self._name}: {what}: {len(told) - MOST_TOLD} more, which --report names")

    def estimated(self, figures: Estimate) -> None:
        """A dry run's result."""
        self._stop()
        for line in figures.lines():
            self._out.print(line, markup=False)

    def failed(self, message: str) -> None:
        """A job ended without a result."""
        self._stop()
        self._line(f"vidperc: {message}")

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False)

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._task = None
