"""`vidperc train` and `vidperc recipes`: networks of one's own, and how those that come along were made."""

from __future__ import annotations

from pathlib import Path

import typer

from vidperc.config.training import built_in_recipes, load_recipe, recipe_path
from vidperc.engine.plan import usable_cores
from vidperc.models.luma_card import luma_card
from vidperc.perception.own3d import own3d_card
from vidperc.training.loop import checkpoint_path
from vidperc.training.own3d_recipe import Own3dRecipe, follow_own3d
from vidperc.training.recipe import follow


def train_network(name_or_path: str, *, data: Path, folder: Path, threads: int | None) -> int:
    """Train the network of a recipe into a folder, with a line on stderr for each checkpoint. Returns the exit code.

    data: holds the recipe's folders of images, and its videos. threads: of the CPU; None for every core.
    Raises VidpercError for a recipe, a folder or a checkpoint that does not fit.
    """
    recipe = load_recipe(name_or_path)
    asked = Path(name_or_path).name  # a file's folder is nobody's business but the user's
    threads = threads or usable_cores()
    try:
        if isinstance(recipe, Own3dRecipe):
            path = follow_own3d(recipe, data, folder, threads=threads, say=_say, asked=asked)
            figures = own3d_card(path).figures
        else:
            path = follow(recipe, data, folder, threads=threads, say=_say, asked=asked)
            card = luma_card(path)
            figures = card.figures if card else ""
    except KeyboardInterrupt:
        found = checkpoint_path(recipe.name, folder).is_file()
        _say(
            "vidperc: stopped; the same command goes on from the last checkpoint"
            if found
            else "vidperc: stopped before the first checkpoint; the same command begins anew"
        )
        return 130
    typer.echo(f"{path}: {figures}")
    return 0


def list_recipes() -> int:
    """A line for each built-in recipe: name, what its network is for."""
    for name in built_in_recipes():
        recipe = load_recipe(name)
        made = (
            f"3D, {recipe.parameters} parameters"
            if isinstance(recipe, Own3dRecipe)
            else f"x{recipe.network.scale}, {recipe.network.parameters} parameters"
        )
        typer.echo(f"{name:18} {made}; {recipe.summary}")
    return 0


def show_recipe(name_or_path: str) -> int:
    """The YAML of a recipe that was checked first."""
    load_recipe(name_or_path)
    typer.echo(recipe_path(name_or_path).read_text(encoding="utf-8"), nl=False)
    return 0


def _say(line: str) -> None:
    typer.echo(line, err=True)
