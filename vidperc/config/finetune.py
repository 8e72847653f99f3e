"""The recipe of `vidperc finetune`: the built-in one, or a user's, with the network and the clips filled in."""

from __future__ import annotations

import functools
import glob
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from vidperc.config.training import load_recipe
from vidperc.errors import VidpercError
from vidperc.losses.objective import ObjectiveSpec
from vidperc.losses.pixel import Charbonnier
from vidperc.models.own_card import LUMA, NAMES, RECURRENT, shipped_path
from vidperc.models.zoo import SUFFIXES, find_card
from vidperc.training.clip_sources import gives_clips
from vidperc.training.material import Material, find_sources
from vidperc.training.recipe import Recipe

# One file of so many is held out where nothing is said of it.
_ONE_OF = 5

# What is filled in for a recipe, and by which option.
_FILLED_IN = {
    "name": "-o",
    "start_from": "-m",
    "clips.videos": "--clips",
    "clips.held_out": "--held-out",
}

# Pixels of the side of a small crop that something can be learnt from.
_LEAST_PATCH = 16


def finetune_recipe(
    model: str,
    clips: Path,
    *,
    name: str,
    recipe: str | None = None,
    held_out: Sequence[str] = (),
    settings: Sequence[str] = (),
) -> Recipe:
    """The recipe that trains a network further on a user's clips.

    model: a name of our own networks, or a file of weights. clips: a folder of videos or of folders of frames, or a
    video. name: of what is made. recipe: a YAML file; None for the built-in one. held_out: names or globs of files
    that are measured and not learnt from; where there is none, those of the recipe, else of several files the last of
    every five that gives clips. settings: laid over the recipe.
    Raises VidpercError for a network without weights, a recipe without clips, a setting of what is filled in here, and
    as `load_recipe` does.
    """
    for setting in settings:
        option = _FILLED_IN.get(setting.partition("=")[0])
        if option is not None:
            raise VidpercError(f"--set {setting}: is not the recipe's to say here; use {option}")
    laid = load_recipe(recipe or "finetune", settings)
    if not isinstance(laid, Recipe) or laid.clips is None or laid.network is not None:
        raise VidpercError(f"{recipe}: wanted a recipe of `clips` and no `network`; copy configs/finetune.yaml")
    start = start_of(model)
    held_out = tuple(held_out) or laid.clips.held_out
    material = replace(laid.clips, videos=(str(clips.resolve()),), held_out=held_out)
    if not held_out:
        folder = folder_of(clips)
        found = find_sources(material, folder)
        held_out = _held_out_of((*found.videos, *found.frame_folders), material, folder)
        material = replace(material, held_out=held_out)
    card = find_card(str(start))
    licence = card.licence if laid.licence.startswith("as the network") else laid.licence
    return replace(
        laid,
        name=_file_name(name),
        summary=f"{card.name}, {laid.summary}",
        data=f"{laid.data} ({clips.name}); begun from {card.name}",
        licence=licence,
        start_from=str(start.resolve()),
        clips=material,
    )


def _held_out_of(files: Sequence[Path], material: Material, folder: Path) -> tuple[str, ...]:
    """Of every five files the last that gives clips, or of all where that is none; something to learn from is left.

    By their places in the folder, as other files may be named alike.
    """

    @functools.cache  # to know it of a video, all of it is looked through
    def good(path: Path) -> bool:
        return gives_clips(path, material)

    def last_good(some: Sequence[Path]) -> list[Path]:
        return list(islice(filter(good, reversed(some)), 1))

    chosen: list[Path] = []
    for first in range(0, len(files) - _ONE_OF + 1, _ONE_OF):
        chosen += last_good(files[first : first + _ONE_OF])
    chosen = chosen or last_good(files)
    if not any(good(path) for path in files if path not in chosen):
        chosen = chosen[1:]  # which is learnt from instead
    return tuple(f"./{glob.escape(path.relative_to(folder).as_posix())}" for path in chosen)


def _file_name(name: str) -> str:
    """A name as recipes have it, of any."""
    return re.sub(r"^\W+", "", re.sub(r"[^\w.-]", "-", name)) or "network"


def folder_of(clips: Path) -> Path:
    """The folder that holds a user's clips, which may be a single file."""
    return clips.resolve() if clips.is_dir() else clips.resolve().parent


def adapt_recipe(start: Path, source: Path, *, size: int) -> Recipe:
    """The recipe that trains the network of a file further on one video. size: of its shorter side, in pixels.

    Raises VidpercError for a video that is too small to cut clips from.
    """
    laid = load_recipe("adapt")
    assert isinstance(laid, Recipe) and laid.clips is not None
    card = find_card(str(start))
    step = 2 * card.scale
    side = min(laid.clips.side, size // step * step)
    patch = min(laid.schedule.patch, side // card.scale)
    if patch < _LEAST_PATCH:
        raise VidpercError(
            f"--adapt: {source} is {size} pixels high or wide, wanted at least {_LEAST_PATCH * card.scale}"
        )
    own = card.architecture in (LUMA, RECURRENT)
    return replace(
        laid,
        name=_file_name(start.stem),
        summary=f"{card.name}, {laid.summary}",
        data=f"{laid.data} ({source.name}); begun from {card.name}",
        licence=card.licence,
        start_from=str(start.resolve()),
        clips=replace(laid.clips, videos=(str(source.resolve()),), side=side),
        frames=laid.clips.frames if card.recurrent else laid.frames,
        schedule=replace(laid.schedule, patch=patch),
        # Networks of our own make luma alone, and pay for that; others pay for their RGB.
        objective=None if own else ObjectiveSpec(terms=(Charbonnier(epsilon=1e-3),)),
    )


def start_of(model: str) -> Path:
    """The file of a network that can learn: one of our own by name, or a file of weights.

    Raises VidpercError for anything else.
    """
    if model in NAMES:
        return shipped_path(model)
    path = Path(model)
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        raise VidpercError(
            f"-m {model}: no network that learns, wanted one of {', '.join(NAMES)}, or a file of weights"
        )
    return path
