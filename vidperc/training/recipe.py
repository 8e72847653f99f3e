"""A recipe makes one luma network: what it is, what it learns from, for how long."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from vidperc.errors import VidpercError
from vidperc.losses.objective import Objective, ObjectiveSpec
from vidperc.models.luma import LumaShape, TrainableLuma
from vidperc.models.luma_card import ARCHITECTURE, NAMES, luma_card, shipped_path
from vidperc.models.weights import LumaNetwork, read_network
from vidperc.ops.color import rgb_luma
from vidperc.training.checkpoint import replace_safetensors
from vidperc.training.degrade import load_pairs, make_degraded_pairs, save_pairs
from vidperc.training.images import Pair, draw, make_pairs, read_images
from vidperc.training.loop import Paid, Schedule, checkpoint_path, train
from vidperc.training.luma import luma_loss, luma_psnr, objective_loss

_CHECKPOINT_EVERY = 1000  # steps
_MEASURED = 40  # degraded frames that are measured at every checkpoint

Network = Callable[[Tensor], Tensor]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Degraded:
    """Learning from what cameras and codecs leave of video (see `training.degrade`), not from what bicubic leaves.

    count: pairs, made once, before training. side: of their large frames in pixels, a multiple of twice the scale.
    """

    count: int = 3000
    side: int = 208

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count: got {self.count}, wanted at least 1")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is made.

    name: of the network and its files. summary: what the card says it is for. data: what the card says it learnt from.
    network: its shape. expand: width of the folded branch of each kernel while it trains, 0 for none.
    images: folders of sharp images to learn from, inside the data folder. sizes: the factors by which they are made
    smaller first. degraded: how they are made worse; None for bicubic. validation: a folder of images that are
    measured at every checkpoint and never learnt from.
    start_from: a trained network's file, in the folder of the checkpoint or else among the shipped ones, whose layers
    this one begins with where they fit. objective: what it pays for, of single pictures in grey; None for the
    Charbonnier distance alone.
    """

    name: str
    summary: str
    data: str
    network: LumaShape
    expand: int = 2
    images: tuple[str, ...]
    sizes: tuple[float, ...] = (1.0,)
    degraded: Degraded | None = None
    validation: str
    schedule: Schedule
    start_from: str | None = None
    objective: ObjectiveSpec | None = None
    licence: str = "Apache-2.0"

    def __post_init__(self) -> None:
        scale, patch = self.network.scale, self.schedule.patch
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            raise ValueError(f"name: got {self.name!r}, wanted letters, digits, dots and dashes; files are named so")
        if not 2 <= scale <= 8 or self.network.channels < 1 or self.network.depth < 0:
            raise ValueError("network: wanted a scale from 2 to 8, channels of at least 1 and a depth of at least 0")
        if self.expand < 0:
            raise ValueError(f"expand: got {self.expand}, wanted at least 0")
        if not self.images:
            raise ValueError("images: got none, wanted the name of a folder")
        if not self.sizes or not all(0 < size <= 1 for size in self.sizes):
            raise ValueError(f"sizes: got {list(self.sizes)}, wanted factors above 0 and at most 1")
        side = self.degraded.side if self.degraded is not None else None
        if side is not None and (side % (2 * scale) or side < patch * scale):
            raise ValueError(
                f"degraded: got a side of {side}, wanted a multiple of {2 * scale} that holds a crop of {patch * scale}"
            )


def follow(recipe: Recipe, data: Path, folder: Path, *, threads: int, say: Say, asked: str | None = None) -> Path:
    """Train the network of a recipe and write it to FOLDER/NAME.safetensors; returns that path.

    data: the folder that holds the recipe's folders of images. folder: gets the checkpoint too, and the degraded pairs.
    asked: how the command line names the recipe, for the card. say: is told what happens, a line each time.
    Raises VidpercError for folders without images, a start_from that is nowhere, weights
    of the objective's networks that cannot be had, and as `train` does.
    """
    if not data.is_dir():
        wanted = ", ".join((*recipe.images, recipe.validation))
        raise VidpercError(f"{data}: no such folder, wanted the one that holds {wanted}; check the path")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VidpercError(f"{folder}: no folder can be made there ({error.strerror}); name another") from error
    torch.set_num_threads(threads)
    torch.manual_seed(recipe.schedule.seed)
    network = TrainableLuma(recipe.network, expand=recipe.expand)
    checkpoint = checkpoint_path(recipe.name, folder)
    if recipe.start_from is not None and not checkpoint.exists():
        start = find_start(recipe.start_from, folder)
        taken = begin_with(network, start)
        say(f"{recipe.name}: begins with {taken} of its {len(network.convolutions())} layers from {start}")
    measure = _validation(recipe, data)
    pairs = _pairs(recipe, data, folder, threads=threads, say=say)
    schedule, scale = recipe.schedule, recipe.network.scale

    def crops(numbers: range) -> tuple[Tensor, Tensor]:
        return draw(pairs, numbers, scale=scale, patch=schedule.patch, seed=schedule.seed)

    wanted = recipe.objective
    loss = luma_loss if wanted is None else objective_loss(Objective.open(wanted.terms, motion=wanted.motion))
    learnt = ("network", "expand", "images", "sizes", "degraded", "start_from", "objective")
    train(
        network,
        lambda network, pair: Paid(total=loss(network, *pair)),
        crops,
        schedule,
        checkpoint,
        recipe={key: value for key, value in asdict(recipe).items() if key in learnt},
        validate=measure,
        every=min(_CHECKPOINT_EVERY, schedule.steps),
        say=say,
    )
    bicubic = measure(lambda luma: luma.new_zeros(1, recipe.network.scale**2, *luma.shape[-2:]))
    figures = ", ".join(f"{name} {db:.2f} dB (bicubic {bicubic[name]:.2f})" for name, db in measure(network).items())
    path = folder / f"{recipe.name}.safetensors"
    _write(network, recipe, path, figures=figures, command=f"vidperc train {asked or recipe.name}")
    return path


def find_start(name: str, folder: Path) -> Path:
    """The file that start_from names, in the folder or among the shipped networks. Raises VidpercError for none."""
    stem = Path(name).stem
    places = [folder / name, *([shipped_path(stem)] if stem in NAMES else [])]
    for path in places:
        if path.is_file():
            return path
    raise VidpercError(f"{places[0]}: no such file, wanted the network that start_from names; train that one first")


def begin_with(network: TrainableLuma, path: Path) -> int:
    """Take over the layers of a trained network, all but those of another shape; returns how many.

    Raises VidpercError when the file holds no luma network, or none of its layers fits.
    """
    trained = read_network(path) if luma_card(path) is not None else None
    if not isinstance(trained, LumaNetwork):
        raise VidpercError(f"{path}: holds no network of ours, wanted one that `vidperc train` made; check start_from")
    taken = 0
    with torch.no_grad():
        for place, layer in enumerate(network.convolutions()):
            kernel = trained.weights.get(f"{place}.weight")
            if kernel is not None and kernel.shape == layer.weight.shape:
                layer.weight.add_(kernel - layer.kernel())
                layer.bias.copy_(trained.weights[f"{place}.bias"])
                taken += 1
    if not taken:
        raise VidpercError(f"{path}: none of its layers has a shape of the recipe's network; check start_from")
    return taken


def _pairs(recipe: Recipe, data: Path, folder: Path, *, threads: int, say: Say) -> list[Pair]:
    """What the network learns from; degraded pairs are kept in the folder, for a restart."""
    folders = [data / name for name in recipe.images]
    scale, degraded = recipe.network.scale, recipe.degraded
    if degraded is None:
        return _clean_pairs(folders, scale=scale, sizes=recipe.sizes, patch=recipe.schedule.patch)
    # Named for all that makes them, so that a changed recipe does not take old ones.
    made_of = [recipe.images, recipe.sizes, asdict(degraded), scale, recipe.schedule.seed]
    digest = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:8]
    kept = folder / f"{recipe.name}.pairs-{digest}.safetensors"
    if kept.is_file():
        say(f"{kept.name}: its pairs are taken")
        return load_pairs(kept)
    say(f"{kept.name}: {degraded.count} degraded pairs are made, once")
    pairs = make_degraded_pairs(
        read_images(folders),
        scale=scale,
        count=degraded.count,
        seed=recipe.schedule.seed,
        side=degraded.side,
        sizes=recipe.sizes,
        workers=threads,
    )
    save_pairs(pairs, kept)
    return pairs


def _clean_pairs(folders: Sequence[Path], *, scale: int, sizes: Sequence[float], patch: int) -> list[Pair]:
    pairs = make_pairs(read_images(folders), scale=scale, sizes=sizes, patch=patch)
    if not pairs:
        told = ", ".join(str(folder) for folder in folders)
        raise VidpercError(f"{told}: every image is smaller than {patch * scale} pixels; choose larger ones")
    return pairs


def _validation(recipe: Recipe, data: Path) -> Callable[[Network], dict[str, float]]:
    """Measures what gives for luma (1,1,h,w) what it lacks after bicubic, (1,s*s,h,w)."""
    folder, scale = data / recipe.validation, recipe.network.scale
    found = {f"{recipe.validation} Y-PSNR": _clean_pairs([folder], scale=scale, sizes=(1,), patch=16)}
    if recipe.degraded is not None:
        found[f"degraded {recipe.validation} Y-PSNR"] = make_degraded_pairs(
            read_images([folder]), scale=scale, count=_MEASURED, seed=0, side=recipe.degraded.side
        )
    measures = {name: luma_psnr(pairs) for name, pairs in found.items()}

    def validate(network: Network) -> dict[str, float]:
        return {name: measure(lambda rgb: network(rgb_luma(rgb))) for name, measure in measures.items()}

    return validate


def _write(network: TrainableLuma, recipe: Recipe, path: Path, *, figures: str, command: str) -> None:
    facts = {
        "architecture": ARCHITECTURE,
        "name": recipe.name,
        "summary": recipe.summary,
        "scale": recipe.network.scale,
        "parameters": recipe.network.parameters,
        "channels": recipe.network.channels,
        "reach": recipe.network.reach,
        "licence": recipe.licence,
        "data": recipe.data,
        "steps": recipe.schedule.steps,
        "seed": recipe.schedule.seed,
        "command": f"{command} --data IMAGES --out FOLDER",
        "figures": figures,
    }
    # Half precision halves the file, and rounds finer than the bfloat16 it is mostly run in.
    weights = {name: tensor.half() for name, tensor in network.folded().items()}
    replace_safetensors(path, weights, {key: str(value) for key, value in facts.items()})
