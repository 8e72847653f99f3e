"""The recipe of the 3D network of our own: what it learns from, for how long, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from vidperc.errors import VidpercError
from vidperc.perception.own3d import ARCHITECTURE, Own3d
from vidperc.training.checkpoint import replace_safetensors
from vidperc.training.images import Pixels, read_images, shrink
from vidperc.training.lessons import Material, draw_lessons
from vidperc.training.logged import open_folder, train_logged
from vidperc.training.loop import Made, Paid
from vidperc.training.material import digest_of, images_in
from vidperc.training.own3d import TrainableOwn3d, balance, guessed_right, own3d_loss, told_right
from vidperc.training.processes import Processes
from vidperc.training.recipe import check_name
from vidperc.training.scenes import read_scenes
from vidperc.training.schedule import Schedule

_CHECKPOINT_EVERY = 500  # steps
_ASKED, _AT_ONCE = 480, 12  # clips that are measured at every checkpoint
_BALANCED = 48  # clips over which the layers are brought to one scale
_HELD_OUT_SEED, _BALANCE_SEED = 1, 2
_SCENE_SIDE, _PHOTO_SIDE = 216, 360  # pixels of the shorter side, in memory

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Own3dRecipe:
    """How a 3D network teaches itself.

    name: of the network and its files. summary: what the card says it is for. data: what the card says it learnt from.
    frames: of a clip; `patch` in the schedule is its side. bfloat16: whether the network computes in it while it
    learns, where that is quick. videos: files, inside the data folder; what is between their cuts is a scene. images:
    folders of photographs there, over which a camera moves. held_out_videos, held_out_images: the same, measured at
    every checkpoint and never learnt from.
    """

    kind: Literal["own-3d"] = "own-3d"
    name: str
    summary: str
    data: str
    frames: int = 16
    bfloat16: bool = True
    videos: tuple[str, ...]
    images: tuple[str, ...] = ()
    held_out_videos: tuple[str, ...]
    held_out_images: tuple[str, ...] = ()
    schedule: Schedule
    licence: str = "Apache-2.0"

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.frames < 4:
            raise ValueError(f"frames: got {self.frames}, wanted at least 4")
        if not 32 <= self.schedule.patch <= _SCENE_SIDE:
            raise ValueError(f"schedule: got a patch of {self.schedule.patch}, wanted 32 to {_SCENE_SIDE}")
        for name in ("videos", "held_out_videos"):
            if not getattr(self, name):
                raise ValueError(f"{name}: got none, wanted the name of a file")
        both = {*self.videos, *self.images} & {*self.held_out_videos, *self.held_out_images}
        if both:
            raise ValueError(f"held_out_videos: {', '.join(sorted(both))} is learnt from too; leave it out of one")

    @property
    def parameters(self) -> int:
        """Of the network, without the layer that answers."""
        return sum(value.numel() for value in Own3d().parameters())

    @property
    def told(self) -> str:
        """What is made, in a few words."""
        return f"3D, {self.parameters} parameters"


def follow_own3d(
    recipe: Own3dRecipe,
    data: Path,
    folder: Path,
    *,
    threads: int,
    say: Say,
    command: str,
    tensorboard: bool = False,
    processes: Processes | None = None,
) -> Made:
    """Train the network of a recipe and write it to FOLDER/NAME.safetensors; as `training.follow.follow` otherwise.

    data: the folder that holds the recipe's files and folders. The log shows no pictures: the network makes none.
    Raises VidpercError for what is missing or cannot be read, and as `train_logged` does.
    """
    missing = [name for name in (*recipe.videos, *recipe.held_out_videos) if not (data / name).is_file()]
    if missing:
        raise VidpercError(f"{data / missing[0]}: no such file, wanted a video that the recipe names; check --data")
    open_folder(folder)
    torch.set_num_threads(threads)
    schedule = recipe.schedule
    torch.manual_seed(schedule.seed)
    network = TrainableOwn3d(bfloat16=recipe.bfloat16)
    material = _material(recipe, data, recipe.videos, recipe.images, say)
    held_out = _material(recipe, data, recipe.held_out_videos, recipe.held_out_images, say)

    def lessons(material: Material, numbers: range, seed: int) -> tuple[Tensor, Tensor]:
        return draw_lessons(material, numbers, frames=recipe.frames, side=schedule.patch, seed=seed)

    parts = [range(first, first + _AT_ONCE) for first in range(0, _ASKED, _AT_ONCE)]
    examined = [lessons(held_out, part, _HELD_OUT_SEED) for part in parts]
    measure = told_right(examined)
    learnt = ("frames", "bfloat16", "videos", "images")
    images = images_in([data / name for name in recipe.images])
    files = digest_of(replace(images, videos=tuple(data / name for name in recipe.videos)))
    train_logged(
        network,
        lambda network, lesson: Paid(total=own3d_loss(network, *lesson)),
        lambda numbers: lessons(material, numbers, schedule.seed),
        schedule,
        recipe,
        folder,
        learnt={key: value for key, value in asdict(recipe).items() if key in learnt} | {"content of its files": files},
        measure=measure,
        pictures=lambda network: (),
        every=min(_CHECKPOINT_EVERY, schedule.steps),
        command=command,
        tensorboard=tensorboard,
        say=say,
        processes=processes,
    )
    path = folder / f"{recipe.name}.safetensors"
    found = measure(network)
    guessed = guessed_right(examined)
    figures = ", ".join(
        f"{name} {found[name]:.3f} (guessing {guessed[name][0]:.3f}, {guessed[name][1]} clips)" for name in found
    )
    shipped = network.folded()
    balance(shipped, lessons(material, range(_BALANCED), _BALANCE_SEED)[0])
    figures = f"on held-out scenes: {figures}"
    if processes is None or processes.first:
        _write(shipped, recipe, path, figures=figures, command=command)
    return Made(path, figures)


def _material(recipe: Own3dRecipe, data: Path, videos: Sequence[str], images: Sequence[str], say: Say) -> Material:
    paths = [data / name for name in videos]
    scenes = read_scenes(paths, side=_SCENE_SIDE, least=recipe.frames, say=say)
    if not scenes:
        raise VidpercError(f"{paths[0]}: no scene has {recipe.frames} frames, in none of the videos; name longer ones")
    photos = read_images([data / name for name in images], say) if images else []
    return Material(scenes, [_reduced(photo) for photo in photos])


def _reduced(photo: Pixels) -> Pixels:
    height, width = photo.shape[:2]
    shorter = min(height, width)
    if shorter <= _PHOTO_SIDE:
        return photo
    return shrink(photo, round(height * _PHOTO_SIDE / shorter), round(width * _PHOTO_SIDE / shorter))


def _write(network: Own3d, recipe: Own3dRecipe, path: Path, *, figures: str, command: str) -> None:
    weights = {name: value.detach().half() for name, value in network.state_dict().items()}
    facts = {
        "architecture": ARCHITECTURE,
        "name": recipe.name,
        "summary": recipe.summary,
        "parameters": sum(value.numel() for value in weights.values()),
        "licence": recipe.licence,
        "data": recipe.data,
        "steps": recipe.schedule.steps,
        "seed": recipe.schedule.seed,
        "command": command,
        "figures": figures,
    }
    replace_safetensors(path, weights, {key: str(value) for key, value in facts.items()})
