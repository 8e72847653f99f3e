"""Training recipes read from YAML: the built-in ones by name, a user's own by path."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter

from vidperc.config.objective import read_objective
from vidperc.config.pipelines import built_in_folder, setting_value
from vidperc.config.validation import did_you_mean, validated
from vidperc.config.yaml_lines import KeyPath, read_yaml
from vidperc.errors import VidpercError
from vidperc.training.consistency_recipe import ConsistencyRecipe
from vidperc.training.own3d_recipe import Own3dRecipe
from vidperc.training.recipe import Recipe
from vidperc.training.schedule import Schedule

PREFIX = "train_"

_OF_SCHEDULE = frozenset(field.name for field in fields(Schedule))


class _File(BaseModel):
    """Around a recipe, for its strictness, which the recipe's dataclasses inherit."""

    model_config = ConfigDict(extra="forbid", strict=True)

    recipe: Recipe


class _Own3dFile(BaseModel):
    """The same around a recipe of the 3D network, which its `kind` tells from those of luma networks."""

    model_config = ConfigDict(extra="forbid", strict=True)

    recipe: Own3dRecipe


class _ConsistencyFile(BaseModel):
    """The same around a recipe of the consistency network."""

    model_config = ConfigDict(extra="forbid", strict=True)

    recipe: ConsistencyRecipe


_FILE = TypeAdapter(_File)
_CONSISTENCY_FILE = TypeAdapter(_ConsistencyFile)
_OWN3D_FILE = TypeAdapter(_Own3dFile)


def built_in_recipes() -> dict[str, Path]:
    """The file of every built-in recipe under the name of its network, in alphabetical order."""
    folder = built_in_folder("configs")
    files = sorted(folder.glob(f"{PREFIX}*.yaml"), key=lambda path: path.stem)
    return {_network(path.stem): path for path in (*files, folder / "adapt.yaml", folder / "finetune.yaml")}


def load_recipe(name_or_path: str, settings: Sequence[str] = ()) -> Recipe | Own3dRecipe | ConsistencyRecipe:
    """The recipe of a built-in name, with or without `train_` before it, or of a path that ends in .yaml or .yml.

    settings: laid over it, "key=value" each, with dots for keys within others; keys of the schedule go without it.
    Raises VidpercError for an unknown name, and as `file:line: what, got, wanted` for a file that does not fit, with
    the setting in the place of the line where that does not.
    """
    path = recipe_path(name_or_path)
    source = read_yaml(path)
    if source.data is None:
        raise VidpercError(f"{source.where(())}: the file is empty, wanted a recipe; `vidperc recipes show` prints one")
    if not isinstance(source.data, dict):
        return validated(_FILE, {"recipe": source.data}, where=lambda key: source.where(key[1:])).recipe
    given: dict[KeyPath, str] = {}
    data = deepcopy(cast("dict[str, Any]", source.data))
    for setting in settings:
        given[_lay(data, setting)] = setting

    def where(key: KeyPath) -> str:
        laid = next((setting for path, setting in given.items() if key[: len(path)] == path), None)
        return source.where(key) if laid is None else f"--set {laid}"

    steadies = data.get("kind") == "consistency"
    if "kind" in data and not steadies:
        return validated(_OWN3D_FILE, {"recipe": data}, where=lambda key: where(key[1:])).recipe
    # The terms of an objective are of many types, which a recipe need not know of.
    rest = {key: value for key, value in data.items() if key != "objective"}
    recipe: Recipe | ConsistencyRecipe
    if steadies:
        recipe = validated(_CONSISTENCY_FILE, {"recipe": rest}, where=lambda key: where(key[1:])).recipe
    else:
        recipe = validated(_FILE, {"recipe": rest}, where=lambda key: where(key[1:])).recipe
    if "objective" not in data:
        return recipe
    return replace(recipe, objective=read_objective({"objective": data["objective"]}, where=where))


def recipe_path(name_or_path: str) -> Path:
    """The YAML file that is meant. Raises VidpercError for an unknown name."""
    if name_or_path.endswith((".yaml", ".yml")):
        return Path(name_or_path)
    built_in = built_in_recipes()
    name = _network(name_or_path)
    if name not in built_in:
        raise VidpercError(
            f"unknown recipe {name_or_path!r}, wanted one of {', '.join(built_in)}, or a path that ends in .yaml"
            + did_you_mean(name, built_in)
        )
    return built_in[name]


def _network(stem: str) -> str:
    """The name of the network that the recipe of this file's name makes."""
    return stem.removeprefix(PREFIX).replace("_", "-")


def _lay(data: dict[str, Any], setting: str) -> KeyPath:
    """Lay a setting over the data of a recipe; returns the path of its key."""
    name, equals, _ = setting.partition("=")
    path = tuple(name.split("."))
    if not equals or not all(path):
        raise VidpercError(f"--set {setting}: not a setting, wanted key=value, such as steps=200 or network.depth=4")
    if path[0] in _OF_SCHEDULE:
        path = ("schedule", *path)
    *parents, last = path
    inner = data
    for parent in parents:
        below = inner.setdefault(parent, {})
        if not isinstance(below, dict):
            raise VidpercError(f"--set {setting}: {parent} is no mapping in the recipe; set it as a whole")
        inner = cast("dict[str, Any]", below)
    inner[last] = setting_value(setting)
    return path
