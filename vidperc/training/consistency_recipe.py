"""The recipe of the consistency network: what it learns from and pays for, for how long, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.losses.objective import Objective, ObjectiveSpec
from vidperc.losses.sample import Sample
from vidperc.models.consistency import ConsistencyShape, TrainableConsistency
from vidperc.models.own_card import CONSISTENCY
from vidperc.models.settle import measure_consistency_settle
from vidperc.training.checkpoint import replace_safetensors
from vidperc.training.clip_cache import held_out_clips, make_clip_cache
from vidperc.training.figures import of_clip, pixels
from vidperc.training.flicker import Flicker, FlickerBatch
from vidperc.training.log import HeldOut
from vidperc.training.logged import open_folder, train_logged
from vidperc.training.loop import Made, Paid
from vidperc.training.material import Material, find_sources, told_apart_by
from vidperc.training.payment import check_payable
from vidperc.training.processes import Processes
from vidperc.training.recipe import check_name
from vidperc.training.schedule import Schedule

_SCALE = 2  # of the made frames to those of the source
_CHECKPOINT_EVERY = 500  # steps
_SHOWN = 4  # clips in the log
_STRENGTH = 0.9  # of the stage, where nothing else is asked

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ConsistencyRecipe:
    """How a consistency network is made.

    name: of the network and its files. summary: what the card says it is for. data: what the card says it learnt from.
    channels, depth: its shape. expand: width of the folded branch of each kernel while it trains, 0 for none. clips:
    what is made to flicker. frames: of a clip that is drawn from those. schedule: its `patch` is of the source's
    frames. objective: what is paid for, of the luma that is shown, held against that which does not flicker.
    """

    kind: Literal["consistency"] = "consistency"
    name: str
    summary: str
    data: str
    channels: int = 32
    depth: int = 3
    expand: int = 2
    clips: Material
    frames: int = 7
    schedule: Schedule
    objective: ObjectiveSpec | None = None
    licence: str = "Apache-2.0"

    def __post_init__(self) -> None:
        check_name(self.name)
        # In bfloat16, oneDNN adds over fewer channels in an order that depends on the size of the picture.
        if self.channels < 16 or self.depth < 0 or self.expand < 0:
            raise ValueError("channels: wanted at least 16, and a depth and an expand of at least 0")
        if not 2 <= self.frames <= self.clips.frames:
            raise ValueError(f"frames: got {self.frames}, wanted 2 to the {self.clips.frames} of the clips")
        self.clips.check(_SCALE)
        if self.schedule.patch * _SCALE > self.clips.side:
            raise ValueError(f"clips: got a side of {self.clips.side}, wanted at least {self.schedule.patch * _SCALE}")

    @property
    def shape(self) -> ConsistencyShape:
        """That of the network."""
        return ConsistencyShape(channels=self.channels, depth=self.depth)

    @property
    def told(self) -> str:
        """What is made, in a few words."""
        return f"consistency, {self.shape.parameters} parameters"


def follow_consistency(
    recipe: ConsistencyRecipe,
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

    Raises VidpercError for an objective that is missing, cannot be had or needs what there is not, and as that does.
    """
    if recipe.objective is None:
        raise VidpercError(f"{recipe.name}: got no objective, wanted its terms; `vidperc recipes show` prints one")
    if not data.is_dir():
        raise VidpercError(f"{data}: no such folder, wanted the one that holds the recipe's clips; check the path")
    open_folder(folder)
    torch.set_num_threads(threads)
    schedule = recipe.schedule
    torch.manual_seed(schedule.seed)
    network = TrainableConsistency(recipe.shape, expand=recipe.expand)
    objective = Objective.open(recipe.objective.terms, motion=recipe.objective.motion)
    check_payable(objective, frames=recipe.frames)
    if len(objective.discriminators):
        raise VidpercError(f"{recipe.name}: its objective has an adversarial term, which nobody judges; leave it out")
    flicker = Flicker()
    held_out = _held_out(recipe, data, folder, flicker, threads, say)
    cache = make_clip_cache(recipe.clips, data, folder, _SCALE, threads, say)

    def draw(numbers: range) -> FlickerBatch:
        clips = cache.draw(numbers, frames=recipe.frames, patch=schedule.patch, seed=schedule.seed)
        return flicker(clips, numbers, seed=schedule.seed)

    train_logged(
        network,
        pay_for_steadiness(objective),
        draw,
        schedule,
        recipe,
        folder,
        learnt={key: value for key, value in asdict(recipe).items() if key not in _TOLD_ONLY}
        | {"clips": told_apart_by(recipe.clips, find_sources(recipe.clips, data))},
        measure=lambda network: measure(held_out, network),
        pictures=lambda network: _pictures(held_out, network),
        every=min(_CHECKPOINT_EVERY, schedule.steps),
        command=command,
        tensorboard=tensorboard,
        say=say,
        processes=processes,
    )
    path = folder / f"{recipe.name}.safetensors"
    by_hand = measure(held_out, TrainableConsistency(recipe.shape, expand=0))  # which has not learnt anything
    after = measure(held_out, network)
    figures = ", ".join(f"{name} {after[name]:.4f} (blend by hand {by_hand[name]:.4f})" for name in after)
    if processes is None or processes.first:
        write_consistency(network, path, recipe, command=command, figures=figures)
    return Made(path, figures, by_hand, after)


# Of a recipe, what does not tell one training from another, or is told by its schedule.
_TOLD_ONLY = frozenset(("name", "summary", "data", "schedule", "licence"))


def pay_for_steadiness(objective: Objective) -> Callable[[nn.Module, FlickerBatch], Paid]:
    """What an objective says of the clips that a network holds steady, held against those that do not flicker."""

    def pay(network: nn.Module, batch: FlickerBatch) -> Paid:
        out: Tensor = network(batch.made, batch.source, batch.flow, batch.visible, _STRENGTH)
        values = objective(
            Sample(out=out, true=batch.wanted, space="grey", source=batch.source, motion=batch.clips.motion())
        )
        return Paid(total=values.total, named=values.named)

    return pay


@torch.no_grad()
def measure(held_out: Sequence[FlickerBatch], network: nn.Module) -> dict[str, float]:
    """The mean figures of clips that a network holds steady: PSNR, warping error (times 1000), tOF in pixels."""
    found: dict[str, list[float]] = {}
    for batch in held_out:
        clips: Tensor = network(batch.made, batch.source, batch.flow, batch.visible, _STRENGTH).clamp(0, 1)
        for made, wanted, motion in zip(clips, batch.wanted.clamp(0, 1), batch.clips.motion(), strict=True):
            grey, grey_wanted = made.expand(-1, 3, -1, -1), wanted.expand(-1, 3, -1, -1)
            for name, figure in of_clip(grey, grey_wanted, motion, _SCALE, None).items():
                found.setdefault(f"clips {name}", []).append(figure)
    return {name: sum(figures) / len(figures) for name, figures in found.items()}


def write_consistency(
    network: TrainableConsistency, path: Path, recipe: ConsistencyRecipe, *, command: str, figures: str
) -> None:
    """Write a network to a safetensors file that the stage `steady` takes. Raises VidpercError when it cannot be."""
    weights = {name: tensor.half() for name, tensor in network.folded().items()}
    shape = network.shape
    settle = measure_consistency_settle(shape, {name: tensor.float() for name, tensor in weights.items()})
    facts = {
        "architecture": CONSISTENCY,
        "name": recipe.name,
        "summary": recipe.summary,
        "scale": 1,
        "parameters": shape.parameters,
        "channels": shape.channels,
        "reach": shape.reach,
        "state": 0,
        "settle": settle,
        "licence": recipe.licence,
        "data": recipe.data,
        "steps": recipe.schedule.steps,
        "seed": recipe.schedule.seed,
        "command": command,
        "figures": figures,
    }
    replace_safetensors(path, weights, {key: str(value) for key, value in facts.items()})


def _held_out(
    recipe: ConsistencyRecipe, data: Path, folder: Path, flicker: Flicker, threads: int, say: Say
) -> list[FlickerBatch]:
    if not recipe.clips.held_out:
        return []
    clips = held_out_clips(recipe.clips, data, folder, scale=_SCALE, threads=threads, say=say)
    return [flicker(clip, range(place, place + 1), seed=0) for place, clip in enumerate(clips)]


@torch.no_grad()
def _pictures(held_out: Sequence[FlickerBatch], network: nn.Module) -> list[HeldOut]:
    """The last frame of the first clips, for the log: the source, what was held steady, what does not flicker."""
    shown: list[HeldOut] = []
    for place, batch in enumerate(held_out[:_SHOWN]):
        out: Tensor = network(batch.made, batch.source, batch.flow, batch.visible, _STRENGTH)
        small, made, true = (pixels(clips[0, -1].expand(3, -1, -1)) for clips in (batch.source, out, batch.wanted))
        shown.append(HeldOut(f"clips {place + 1}, frame {out.shape[1]}", small, made, true))
    return shown
