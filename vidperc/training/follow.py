"""Following a recipe: from folders of material to a network in a file, with a card that says how it was made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from vidperc.errors import VidpercError
from vidperc.losses.objective import Objective
from vidperc.models.own_card import NAMES, shipped_path
from vidperc.training.clip_batch import ClipBatch
from vidperc.training.figures import Bicubic, Measure, figures_of_stills, open_lpips, told_beside
from vidperc.training.images import draw
from vidperc.training.loop import Made, checkpoint_path, train
from vidperc.training.pairs import held_out_pairs, recipe_pairs
from vidperc.training.payment import Pay, check_payable, pay_for, pay_for_luma
from vidperc.training.processes import Processes
from vidperc.training.recipe import Recipe
from vidperc.training.students import begin_with, build, open_student, scale_of, write_student

_CHECKPOINT_EVERY = 1000  # steps

Say = Callable[[str], None]


def follow(
    recipe: Recipe,
    data: Path,
    folder: Path,
    *,
    threads: int,
    say: Say,
    asked: str | None = None,
    processes: Processes | None = None,
) -> Made:
    """Train the network of a recipe and write it to FOLDER/NAME.safetensors.

    data: the folder that holds the recipe's folders. folder: gets the checkpoint too, and what is made of the data.
    asked: how the command line names the recipe, for the card. say: is told what happens, a line each time.
    Raises VidpercError for folders without material, a start_from that is nowhere, an objective that cannot be had or
    needs what there is not, and as `train` does.
    """
    if not data.is_dir():
        wanted = ", ".join(name for name in (*recipe.images, recipe.validation) if name)
        raise VidpercError(f"{data}: no such folder, wanted the one that holds {wanted}; check the path")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VidpercError(f"{folder}: no folder can be made there ({error.strerror}); name another") from error
    torch.set_num_threads(threads)
    network = _begin(recipe, folder, say)
    scale = scale_of(network)
    measure = _measure(recipe, data, scale, say)
    objective = _open_objective(recipe, frames=1)
    pay: Pay = pay_for_luma if objective is None else pay_for(objective, seen=recipe.seen)
    pairs = recipe_pairs(recipe, data, folder, scale=scale, threads=threads, say=say)
    schedule = recipe.schedule

    def crops(numbers: range) -> ClipBatch:
        return ClipBatch.of_stills(*draw(pairs, numbers, scale=scale, patch=schedule.patch, seed=schedule.seed))

    learnt = ("network", "expand", "images", "sizes", "degraded", "start_from", "objective", "seen")
    train(
        network,
        pay,
        crops,
        schedule,
        checkpoint_path(recipe.name, folder),
        recipe={key: value for key, value in asdict(recipe).items() if key in learnt},
        validate=measure,
        every=min(_CHECKPOINT_EVERY, schedule.steps),
        say=say,
        objective=objective,
        processes=processes,
    )
    path = folder / f"{recipe.name}.safetensors"
    figures = told_beside(measure(network), measure(Bicubic(scale)))
    facts = {
        "name": recipe.name,
        "summary": recipe.summary,
        "licence": recipe.licence,
        "data": recipe.data,
        "steps": str(schedule.steps),
        "seed": str(schedule.seed),
        "command": f"vidperc train {asked or recipe.name} --data DATA --out FOLDER",
        "figures": figures,
    }
    if processes is None or processes.first:
        write_student(network, path, facts)
    return Made(path, figures)


def find_start(name: str, folder: Path) -> Path:
    """The file that start_from names, in the folder or among the shipped networks. Raises VidpercError for none."""
    stem = Path(name).stem
    places = [folder / name, *([shipped_path(stem)] if stem in NAMES else [])]
    for path in places:
        if path.is_file():
            return path
    raise VidpercError(f"{places[0]}: no such file, wanted the network that start_from names; train that one first")


def _begin(recipe: Recipe, folder: Path, say: Say) -> nn.Module:
    """The network as it is before its first step."""
    torch.manual_seed(recipe.schedule.seed)
    if recipe.network is None:
        assert recipe.start_from is not None  # the recipe was checked for it
        start = find_start(recipe.start_from, folder)
        say(f"{recipe.name}: begins with {start.name}")
        return open_student(start, expand=recipe.expand)
    network = build(recipe.network.own, expand=recipe.expand)
    if recipe.start_from is not None and not checkpoint_path(recipe.name, folder).exists():
        start = find_start(recipe.start_from, folder)
        taken = begin_with(network, start)
        say(f"{recipe.name}: begins with {taken} of its {len(network.convolutions())} layers from {start}")
    return network


def _open_objective(recipe: Recipe, *, frames: int) -> Objective | None:
    wanted = recipe.objective
    if wanted is None:
        return None
    objective = Objective.open(wanted.terms, motion=wanted.motion)
    check_payable(objective, frames=frames)
    return objective


def _measure(recipe: Recipe, data: Path, scale: int, say: Say) -> Measure:
    """What is measured at every checkpoint; LPIPS where the objective asks for more than the distance of luma."""
    sets = held_out_pairs(recipe, data, scale=scale)
    return figures_of_stills(sets, None if recipe.objective is None else open_lpips(say))
