"""`vidperc train` and `vidperc recipes`: networks of one's own, and how those that come along were made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from vidperc.config.training import built_in_recipes, load_recipe, recipe_path
from vidperc.engine.plan import usable_cores
from vidperc.training.consistency_recipe import ConsistencyRecipe, follow_consistency
from vidperc.training.follow import follow
from vidperc.training.loop import checkpoint_path
from vidperc.training.own3d_recipe import Own3dRecipe, follow_own3d
from vidperc.training.processes import joined_processes


def train_network(
    name_or_path: str,
    *,
    data: Path,
    folder: Path,
    settings: Sequence[str] = (),
    threads: int | None = None,
    tensorboard: bool = False,
) -> int:
    """Train the network of a recipe into a folder, with a line on stderr for each checkpoint. Returns the exit code.

    data: holds the recipe's folders of images, and its videos. settings: laid over the recipe, "key=value" each.
    threads: of the CPU; None for every core. tensorboard: event files are written as well.
    Raises VidpercError for a recipe, a folder or a checkpoint that does not fit.
    """
    recipe = load_recipe(name_or_path, settings)
    # A file's folder is nobody's business but the user's.
    asked = " ".join([Path(name_or_path).name, *(f"--set {setting}" for setting in settings)])
    threads = threads or usable_cores()
    try:
        with joined_processes("cpu") as processes:
            say = _say if processes.first else _say_nothing
            several = f"torchrun --nproc-per-node {processes.count} -m " if processes.count > 1 else ""
            command = f"{several}vidperc train {asked} --data DATA --out FOLDER"
            how: Any = {
                "threads": threads,
                "say": say,
                "command": command,
                "tensorboard": tensorboard,
                "processes": processes,
            }
            if isinstance(recipe, Own3dRecipe):
                made = follow_own3d(recipe, data, folder, **how)
            elif isinstance(recipe, ConsistencyRecipe):
                made = follow_consistency(recipe, data, folder, **how)
            else:
                made = follow(recipe, data, folder, **how)
            if processes.first:
                typer.echo(f"{made.path}: {made.figures}")
    except KeyboardInterrupt:
        found = checkpoint_path(recipe.name, folder).is_file()
        _say(
            "vidperc: stopped; the same command goes on from the last checkpoint"
            if found
            else "vidperc: stopped before the first checkpoint; the same command begins anew"
        )
        return 130
    return 0


def list_recipes() -> int:
    """A line for each built-in recipe: name, what its network is for."""
    for name in built_in_recipes():
        recipe = load_recipe(name)
        typer.echo(f"{name:18} {recipe.told}; {recipe.summary}")
    return 0


def show_recipe(name_or_path: str) -> int:
    """The YAML of a recipe that was checked first."""
    load_recipe(name_or_path)
    typer.echo(recipe_path(name_or_path).read_text(encoding="utf-8"), nl=False)
    return 0


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _say_nothing(line: str) -> None:
    """What the others would say, the first of several processes says for them."""
