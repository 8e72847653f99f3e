"""Training recipes read from YAML: the built-in ones by name, a user's own by path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter

from vidperc.config.objective import read_objective
from vidperc.config.pipelines import built_in_folder
from vidperc.config.validation import did_you_mean, validated
from vidperc.config.yaml_lines import read_yaml
from vidperc.errors import VidpercError
from vidperc.training.own3d_recipe import Own3dRecipe
from vidperc.training.recipe import Recipe

PREFIX = "train_"


class _File(BaseModel):
    """Around a recipe, for its strictness, which the recipe's dataclasses inherit."""

    model_config = ConfigDict(extra="forbid", strict=True)

    recipe: Recipe


class _Own3dFile(BaseModel):
    """The same around a recipe of the 3D network, which its `kind` tells from those of luma networks."""

    model_config = ConfigDict(extra="forbid", strict=True)

    recipe: Own3dRecipe


_FILE = TypeAdapter(_File)
_OWN3D_FILE = TypeAdapter(_Own3dFile)


def built_in_recipes() -> dict[str, Path]:
    """The file of every built-in recipe under the name of its network, in alphabetical order."""
    files = built_in_folder("configs").glob(f"{PREFIX}*.yaml")
    return {path.stem.removeprefix(PREFIX): path for path in sorted(files, key=lambda path: path.stem)}


def load_recipe(name_or_path: str) -> Recipe | Own3dRecipe:
    """The recipe of a built-in name, with or without `train_` before it, or of a path that ends in .yaml or .yml.

    Raises VidpercError for an unknown name, and as `file:line: what, got, wanted` for a file that does not fit.
    """
    path = recipe_path(name_or_path)
    source = read_yaml(path)
    if source.data is None:
        raise VidpercError(f"{source.where(())}: the file is empty, wanted a recipe; `vidperc recipes show` prints one")
    if not isinstance(source.data, dict):
        return validated(_FILE, {"recipe": source.data}, where=lambda key: source.where(key[1:])).recipe
    data = cast("dict[str, Any]", source.data)
    if "kind" in data:
        return validated(_OWN3D_FILE, {"recipe": data}, where=lambda key: source.where(key[1:])).recipe
    # The terms of an objective are of many types, which a recipe need not know of.
    rest = {key: value for key, value in data.items() if key != "objective"}
    recipe = validated(_FILE, {"recipe": rest}, where=lambda key: source.where(key[1:])).recipe
    if "objective" not in data:
        return recipe
    return replace(recipe, objective=read_objective({"objective": data["objective"]}, where=source.where))


def recipe_path(name_or_path: str) -> Path:
    """The YAML file that is meant. Raises VidpercError for an unknown name."""
    if name_or_path.endswith((".yaml", ".yml")):
        return Path(name_or_path)
    built_in = built_in_recipes()
    name = name_or_path.removeprefix(PREFIX)
    if name not in built_in:
        raise VidpercError(
            f"unknown recipe {name_or_path!r}, wanted one of {', '.join(built_in)}, or a path that ends in .yaml"
            + did_you_mean(name, built_in)
        )
    return built_in[name]
