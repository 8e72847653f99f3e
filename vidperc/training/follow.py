"""Following a recipe: from folders of material to a network in a file, with a card that says how it was made."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import nn

from vidperc.errors import VidpercError
from vidperc.losses.objective import Objective
from vidperc.models.own_card import NAMES, shipped_path
from vidperc.models.weights import read_network
from vidperc.training.clip_batch import ClipBatch
from vidperc.training.clip_cache import held_out_clips, make_clip_cache
from vidperc.training.figures import Bicubic, measure_of, open_lpips, pictures_of, told_beside
from vidperc.training.images import as_tensors, draw
from vidperc.training.learner import Learner
from vidperc.training.logged import open_folder, train_logged
from vidperc.training.loop import Made, checkpoint_path
from vidperc.training.material import digest_of, find_sources, images_in, told_apart_by
from vidperc.training.pairs import held_out_pairs, recipe_pairs
from vidperc.training.payment import Pay, check_payable, pay_for, pay_for_luma
from vidperc.training.processes import Processes
from vidperc.training.recipe import Recipe
from vidperc.training.schedule import Schedule
from vidperc.training.students import begin_with, build, go_back, open_student, scale_of, write_student

_CHECKPOINT_EVERY, _LEAST_BETWEEN = 1000, 100  # steps
_AHEAD = 11  # of the seeds of what is drawn
_TIMED = 5  # steps that tell the pace, the first of which is cold

# What tells one training from another, beside its schedule.
_LEARNT = frozenset(("network", "expand", "sizes", "degraded", "frames", "ahead", "objective", "seen"))

Say = Callable[[str], None]


def follow(
    recipe: Recipe,
    data: Path,
    folder: Path,
    *,
    threads: int,
    say: Say,
    command: str | None = None,
    tensorboard: bool = False,
    seconds: float | None = None,
    processes: Processes | None = None,
) -> Made:
    """Train the network of a recipe and write it to FOLDER/NAME.safetensors.

    data: the folder that holds the recipe's folders. folder: gets the checkpoint and the log too, and what is made of
    the data. command: how it was asked for, for the card. tensorboard: event files are written as well. seconds: as
    many steps are taken as fit into them, by the pace of the first, in place of the schedule's. say: is told what
    happens, a line each time.
    Raises VidpercError for folders without material, a start_from that is nowhere, an objective that cannot be had or
    needs what there is not, and as `train` does.
    """
    if not data.is_dir():
        wanted = ", ".join(recipe.folders)
        raise VidpercError(f"{data}: no such folder, wanted the one that holds {wanted}; check the path")
    open_folder(folder)
    torch.set_num_threads(threads)
    command = command or f"vidperc train {recipe.name} --data DATA --out FOLDER"
    network = _begin(recipe, folder, say)
    scale = scale_of(network)
    try:
        recipe.check_scale(scale)
    except ValueError as error:
        raise VidpercError(f"{recipe.name}: {error}") from error
    _as_written(network, recipe, folder)  # which refuses what would else be refused at the end
    objective = _open_objective(recipe)
    held_out = _open_held_out(recipe, data, folder, scale=scale, threads=threads, say=say)
    # LPIPS where the objective asks for more than the distance of luma.
    measure = measure_of(held_out, open_lpips(say) if held_out and recipe.objective is not None else None)
    before = measure(network) if recipe.network is None else {}
    pay: Pay = pay_for_luma if objective is None else pay_for(objective, seen=recipe.seen)
    together = recipe.schedule.batch * (1 if processes is None else processes.count)
    draws = _open_material(recipe, data, folder, scale=scale, threads=threads, together=together, say=say)
    schedule = recipe.schedule
    if seconds is not None:
        pace = _seconds_a_step(network, pay, draws, schedule)
        schedule = replace(schedule, steps=max(1, round(seconds / pace)))
        say(f"{recipe.name}: {schedule.steps} steps of {1000 * pace:.0f} ms")
    train_logged(
        network,
        pay,
        draws,
        schedule,
        recipe,
        folder,
        learnt=_told_apart_by(recipe, data, folder),
        measure=lambda network: measure(_as_written(network, recipe, folder)),
        pictures=lambda network: pictures_of(held_out, _as_written(network, recipe, folder)),
        every=min(_CHECKPOINT_EVERY, max(_LEAST_BETWEEN, schedule.steps // 8), schedule.steps),
        command=command,
        tensorboard=tensorboard,
        say=say,
        objective=objective,
        processes=processes,
    )
    path = folder / f"{recipe.name}.safetensors"
    network = _as_written(network, recipe, folder)
    after = measure(network)
    figures = told_beside(after, measure(Bicubic(scale)))
    if processes is None or processes.first:
        facts = {
            "name": recipe.name,
            "summary": recipe.summary,
            "licence": recipe.licence,
            "data": recipe.data,
            "steps": str(schedule.steps),
            "seed": str(schedule.seed),
            "command": command,
            "figures": figures,
        }
        write_student(network, path, facts)
    return Made(path, figures, before, after)


def find_start(name: str, folder: Path) -> Path:
    """The file that start_from names, in the folder or among the shipped networks. Raises VidpercError for none."""
    stem = Path(name).stem
    places = [folder / name, *([shipped_path(stem)] if stem in NAMES else [])]
    for path in places:
        if path.is_file():
            return path
    raise VidpercError(f"{places[0]}: no such file, wanted the network that start_from names; train that one first")


def _start_of(recipe: Recipe, folder: Path) -> Path:
    """The file that the recipe's start_from names; never the one that following it writes, which may have that name."""
    assert recipe.start_from is not None  # the recipe was checked for it, or the caller asked
    start = find_start(recipe.start_from, folder)
    if start == folder / f"{recipe.name}.safetensors" and recipe.name in NAMES:
        return shipped_path(recipe.name)
    return start


def _begin(recipe: Recipe, folder: Path, say: Say) -> nn.Module:
    """The network as it is before its first step."""
    torch.manual_seed(recipe.schedule.seed)
    if recipe.network is None:
        start = _start_of(recipe, folder)
        say(f"{recipe.name}: begins with {start.name}")
        return open_student(start, expand=recipe.expand)
    network = build(recipe.network.own, expand=recipe.expand)
    if recipe.start_from is not None and not checkpoint_path(recipe.name, folder).exists():
        start = _start_of(recipe, folder)
        taken = begin_with(network, start)
        say(f"{recipe.name}: begins with {taken} of its {len(network.convolutions())} layers from {start}")
    return network


def _as_written(network: nn.Module, recipe: Recipe, folder: Path) -> nn.Module:
    """The network as far from its start as the recipe says; the one that learns stays where it is."""
    if recipe.share_learnt == 1:
        return network
    network = deepcopy(network)
    go_back(network, _start_of(recipe, folder), share_learnt=recipe.share_learnt)
    return network


def _told_apart_by(recipe: Recipe, data: Path, folder: Path) -> dict[str, object]:
    """What tells this training from another, by what its files hold, not by their names alone."""
    other = {"sizes", "degraded"} if recipe.clips is not None else {"frames", "ahead"}  # which say nothing of it
    told: dict[str, object] = {key: value for key, value in asdict(recipe).items() if key in _LEARNT - other}
    if recipe.clips is not None:
        told["clips"] = told_apart_by(recipe.clips, find_sources(recipe.clips, data))
    else:
        told["content of its files"] = digest_of(images_in([data / name for name in recipe.images]))
    start = "" if recipe.start_from is None else read_network(_start_of(recipe, folder)).card.sha256
    return {**told, "content of its start": start[:10]}


def _seconds_a_step(network: nn.Module, pay: Pay, draw: Callable[[range], ClipBatch], schedule: Schedule) -> float:
    """How long a step takes, once warm, tried on a copy; the network stays as it is."""
    tried = deepcopy(network)
    learner = Learner(tried, "", averaged=True, optimiser=schedule.optimiser)
    learner.begin(0)
    taken: list[float] = []
    for turn in range(_TIMED):
        began = perf_counter()
        for part in range(turn * schedule.accumulate, (turn + 1) * schedule.accumulate):
            batch = draw(range(part * schedule.batch, (part + 1) * schedule.batch))
            pay(tried, batch).total.backward()
        learner.collect(Processes(), schedule.clip)
        learner.step(schedule.learning_rate)
        learner.follow(schedule.ema, turn)
        taken.append(perf_counter() - began)
    return sum(taken[1:]) / (_TIMED - 1)


def _open_objective(recipe: Recipe) -> Objective | None:
    wanted = recipe.objective
    if wanted is None:
        return None
    objective = Objective.open(wanted.terms, motion=wanted.motion)
    check_payable(objective, frames=recipe.frames if recipe.clips is not None else 1)
    return objective


def _open_material(
    recipe: Recipe, data: Path, folder: Path, *, scale: int, threads: int, together: int, say: Say
) -> Callable[[range], ClipBatch]:
    """What draws the batches of a training, by their numbers. together: how many all processes draw at once."""
    patch, seed = recipe.schedule.patch, recipe.schedule.seed
    if recipe.clips is not None:
        cache = make_clip_cache(recipe.clips, data, folder, scale, threads, say)

        def clips(numbers: range) -> ClipBatch:
            chance = np.random.default_rng((seed, _AHEAD, numbers.start // together))
            ahead = int(chance.integers(recipe.ahead + 1))
            batch = cache.draw(numbers, frames=recipe.frames + ahead, patch=patch, seed=seed)
            return replace(batch, ahead=ahead)

        return clips
    pairs = recipe_pairs(recipe, data, folder, scale=scale, threads=threads, say=say)
    return lambda numbers: ClipBatch.of_stills(
        *draw(pairs, numbers, scale=scale, patch=patch, seed=seed), number=numbers.start
    )


def _open_held_out(
    recipe: Recipe, data: Path, folder: Path, *, scale: int, threads: int, say: Say
) -> dict[str, list[ClipBatch]]:
    """What is measured at every checkpoint, by its name: pictures, and clips."""
    found = {
        name: [ClipBatch.of_stills(*as_tensors(pair)) for pair in pairs]
        for name, pairs in held_out_pairs(recipe, data, scale=scale).items()
    }
    clips = recipe.clips
    if clips is not None and clips.held_out:
        found["clips"] = held_out_clips(clips, data, folder, scale=scale, threads=threads, say=say)
    return found
