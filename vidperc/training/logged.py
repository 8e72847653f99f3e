"""A training with its log around it: table, page and pictures beside the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from torch import nn

from vidperc.errors import VidpercError
from vidperc.losses.objective import Objective
from vidperc.training.log import HeldOut, open_log
from vidperc.training.loop import Draw, Paid, checkpoint_path, train
from vidperc.training.processes import Processes
from vidperc.training.schedule import Schedule

B = TypeVar("B")


class Told(Protocol):
    """What a recipe says of itself."""

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def data(self) -> str: ...
    @property
    def told(self) -> str: ...


def open_folder(folder: Path) -> None:
    """Make the folder of a training, where it is not there. Raises VidpercError when it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VidpercError(f"{folder}: no folder can be made there ({error.strerror}); name another") from error


def train_logged(
    network: nn.Module,
    pay: Callable[[nn.Module, B], Paid],
    draw: Draw[B],
    schedule: Schedule,
    recipe: Told,
    folder: Path,
    *,
    learnt: Mapping[str, object],
    measure: Callable[[nn.Module], dict[str, float]],
    pictures: Callable[[nn.Module], Sequence[HeldOut]],
    every: int,
    command: str,
    tensorboard: bool,
    say: Callable[[str], None],
    objective: Objective | None = None,
    processes: Processes | None = None,
) -> None:
    """Train a network in place as `train` does, with a log in the folder, of the first of several processes.

    learnt: what tells this training from another (`train`'s recipe). measure, pictures: of what was held out, at every
    checkpoint. command: how it was asked for, for the page. The rest as `train` and `open_log` take it, who raise.
    """
    log = None
    if processes is None or processes.first:
        facts = {"command": command, "data": recipe.data, "network": recipe.told, "seed": str(schedule.seed)}
        log = open_log(
            recipe.name,
            folder,
            summary=recipe.summary,
            facts=facts,
            steps=schedule.steps,
            tensorboard=tensorboard,
            say=say,
        )

    def validate(network: nn.Module) -> dict[str, float]:
        if log is not None:
            log.strips(pictures(network))
        return measure(network)

    try:
        train(
            network,
            pay,
            draw,
            schedule,
            checkpoint_path(recipe.name, folder),
            recipe=learnt,
            validate=validate,
            every=every,
            say=say,
            record=None if log is None else log.record,
            measured=None if log is None else log.measured,
            objective=objective,
            processes=processes,
        )
    finally:
        if log is not None:
            log.close()
