"""The training loop: one function, read from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.losses.objective import Objective
from vidperc.losses.sample import Sample
from vidperc.training.checkpoint import Facts, read_checkpoint, write_checkpoint
from vidperc.training.learner import Learner
from vidperc.training.processes import Processes
from vidperc.training.schedule import Schedule

B = TypeVar("B")
Draw = Callable[[range], B]
Record = Callable[["Progress"], None]
Measured = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True, kw_only=True)
class Paid:
    """What a batch costs a network.

    total: a scalar with gradients, which is learnt from. named: the values of its terms, without their weights.
    judged: what discriminators learn from.
    """

    total: Tensor
    named: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    judged: Sample | None = None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a training is.

    step: of so many. loss, terms: running means of the total and of its terms over the last 200 steps, and of what
    each discriminator pays. latest: the same of this step alone, the total as "loss". saved: whether a checkpoint is
    made of it. seconds: a step. waited: share of the time in which nothing was learnt because nothing was drawn yet,
    0 to 1.
    """

    step: int
    loss: float
    terms: Mapping[str, float]
    latest: Mapping[str, float]
    saved: bool
    learning_rate: float
    seconds: float
    waited: float


@dataclass(frozen=True)
class Made:
    """What a training ends with: the network's file, and what was measured of it, in words.

    before, after: the same as numbers, of what it began with, where that was a network of its kind, and of what it is.
    """

    path: Path
    figures: str
    before: Mapping[str, float] = field(default_factory=dict[str, float])
    after: Mapping[str, float] = field(default_factory=dict[str, float])


def checkpoint_path(name: str, folder: Path) -> Path:
    """Where an interrupted training of the network of this name goes on from."""
    return folder / f"{name}.checkpoint.safetensors"


def train(
    network: nn.Module,
    pay: Callable[[nn.Module, B], Paid],
    draw: Draw[B],
    schedule: Schedule,
    checkpoint: Path,
    *,
    recipe: Mapping[str, object],
    validate: Callable[[nn.Module], dict[str, float]],
    every: int,
    say: Callable[[str], None],
    record: Record | None = None,
    measured: Measured | None = None,
    objective: Objective | None = None,
    processes: Processes | None = None,
) -> nn.Module:
    """Train a network in place, from its checkpoint where there is one; returns it with the averaged weights.

    pay: what a batch costs. draw: the batch of these numbers, which count all that is drawn in the whole training; it
    depends on them alone, so that several processes draw what one with the same numbers would.
    checkpoint: a safetensors file, replaced every `every` steps. A run that was interrupted goes on from it exactly.
    recipe: what else tells this training from another, as plain values; kept in the checkpoint.
    validate: figures of the averaged network, told at every checkpoint. record: told of every step, before its
    checkpoint is written. measured: told the step and the figures of every checkpoint, and those of the one that the
    run goes on from, as it may have been stopped between writing and measuring.
    objective: whose discriminators learn beside the network, from what was judged; they are in the checkpoint as well.
    Raises VidpercError when a loss is no number, or the checkpoint is damaged or of another training or cannot be
    written; the last whole one stays.
    """
    processes = processes or Processes()
    student = Learner(network, "", averaged=True, optimiser=schedule.optimiser)
    learners = [student]
    judge = None
    if objective is not None and len(objective.discriminators):
        judge = Learner(objective.discriminators, "judge.", averaged=False)
        learners.append(judge)
    facts: Facts = {"schedule": {**asdict(schedule), "processes": processes.count}, "recipe": dict(recipe)}

    def figures_of_averaged() -> dict[str, float]:
        with swapped(student.parameters, student.averages):
            return validate(network)

    start = 0
    if checkpoint.exists():
        start = read_checkpoint(checkpoint, _state(learners), facts)
        say(f"{checkpoint.name}: going on from step {start} of {schedule.steps}")
        if measured is not None and processes.first:
            measured(start, figures_of_averaged())
        processes.wait()
    for learner in learners:
        learner.begin(start)
    if schedule.optimiser == "muon" and not student.kernels and processes.first:
        say("optimiser: muon is for kernels of 32 channels and more, and this network has none; all of it is Adam's")
    parts = schedule.accumulate
    means = _Means()
    began, waited = time.perf_counter(), 0.0

    def numbers(turn: int) -> range:
        # Every process its own part of the turn.
        first = (turn * processes.count + processes.rank) * schedule.batch
        return range(first, first + schedule.batch)

    with ThreadPoolExecutor(1) as loader:
        coming = loader.submit(draw, numbers(start * parts))
        for step in range(start, schedule.steps):
            found: dict[str, Tensor] = {}
            for turn in range(step * parts, (step + 1) * parts):
                asked = time.perf_counter()
                batch = coming.result()
                waited += time.perf_counter() - asked
                coming = loader.submit(draw, numbers(turn + 1))
                with _named_step(step):
                    paid = pay(network, batch)
                    (paid.total / parts).backward()
                    _add(found, {"loss": paid.total, **paid.named}, parts)
                    if judge is not None and objective is not None and paid.judged is not None:
                        learnt = objective.judge(paid.judged)
                        (learnt.total / parts).backward()
                        _add(found, {f"judge of {name}": value for name, value in learnt.named.items()}, parts)
            processes.average(list(found.values()))
            rate = schedule.rate(step)
            norm = student.collect(processes, schedule.clip)
            # Before the step, so that no checkpoint ever holds what is no number.
            wrong = [name for name, value in found.items() if not bool(value.isfinite())]
            if wrong or not math.isfinite(norm):
                terms = [name for name in wrong if name != "loss"]
                at = f" ({', '.join(terms)})" if terms else ""
                # Before anything was learnt, no rate can be to blame.
                hint = "lower the learning rate" if step else "look at its terms, and at what it begins with"
                raise VidpercError(
                    f"step {step}: the loss is {float(found['loss'])}{at}, its gradient {norm} long, wanted numbers; "
                    f"{hint}"
                )
            student.step(rate)
            student.follow(schedule.ema, step)
            if judge is not None:
                judge.collect(processes, schedule.clip)
                judge.step(rate * schedule.judge_rate)
            latest = {name: float(value) for name, value in found.items()}
            means.add(latest, step - start)

            done = step + 1
            saves = done % every == 0 or done == schedule.steps
            pace = (time.perf_counter() - began) / (done - start)
            told = Progress(
                step=done,
                loss=means.values["loss"],
                terms={name: value for name, value in means.values.items() if name != "loss"},
                latest=latest,
                saved=saves,
                learning_rate=rate,
                seconds=pace,
                waited=waited / (time.perf_counter() - began),
            )
            if record is not None and processes.first:
                record(told)
            if saves:
                for learner in learners:
                    learner.round_moments()
                if processes.first:
                    write_checkpoint(checkpoint, _state(learners), facts, done)
                    figures = figures_of_averaged()
                    if measured is not None:
                        measured(done, figures)
                    say(_line(told, figures, schedule.steps))
                processes.wait()
    _set(student.parameters, student.averages)
    return network


@contextmanager
def swapped(parameters: Mapping[str, nn.Parameter], values: Mapping[str, Tensor]) -> Generator[None]:
    """A context in which parameters have other values."""
    kept = {name: value.detach().clone() for name, value in parameters.items()}
    _set(parameters, values)
    try:
        yield
    finally:
        _set(parameters, kept)


@torch.no_grad()
def _set(parameters: Mapping[str, nn.Parameter], values: Mapping[str, Tensor]) -> None:
    for name, value in parameters.items():
        value.copy_(values[name])


def _state(learners: list[Learner]) -> dict[str, Tensor]:
    return {name: tensor for learner in learners for name, tensor in learner.state().items()}


def _add(found: dict[str, Tensor], values: Mapping[str, Tensor], parts: int) -> None:
    for name, value in values.items():
        share = value.detach().float() / parts
        found[name] = found[name] + share if name in found else share.clone()


@contextmanager
def _named_step(step: int) -> Generator[None]:
    """A context in which what a term refuses, as it does with what is no number, stops the training in one line."""
    try:
        yield
    except ValueError as error:
        if "wanted" not in str(error):  # not one of our terms
            raise
        # Before anything was learnt, no rate can be to blame.
        hint = "; a lower learning rate may help" if step else ""
        raise VidpercError(f"step {step}: {error}{hint}") from error


class _Means:
    """Running means over the last 200 steps or so."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def add(self, found: Mapping[str, float], before: int) -> None:
        for name, value in found.items():
            mean = self.values.get(name, 0.0)
            self.values[name] = mean + (value - mean) / min(before + 1, 200)


def _line(told: Progress, measured: Mapping[str, float], steps: int) -> str:
    figures = "".join(f", {name} {figure:.3f}" for name, figure in measured.items())
    left = told.seconds * (steps - told.step) / 60
    waits = f", {100 * told.waited:.0f} % of it waiting" if told.waited > 0.05 else ""
    return (
        f"step {told.step} of {steps}: loss {told.loss:.5f}{figures}, {1000 * told.seconds:.0f} ms a step{waits}, "
        f"{left:.0f} minutes left"
    )
