"""What a worker finds out for the plan before any frame is rendered: sizes, networks, placement, memory."""

from __future__ import annotations

import platform
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

import torch

from vidperc.engine.guide import check_guide_size
from vidperc.engine.memory import PARENT_BYTES, Load, fitted, free_bytes, worker_bytes
from vidperc.engine.plan import Prepared, Wishes
from vidperc.errors import VidpercError
from vidperc.models.card import ModelCard
from vidperc.models.load import Model, load_model
from vidperc.models.precision import fast_precision, instruction_set
from vidperc.models.zoo import find_chain
from vidperc.pipeline import Pipeline
from vidperc.placement import Placement, Precision
from vidperc.stages.motion import FindMotion
from vidperc.stages.steady import Steady
from vidperc.stages.upscale import Upscale

if TYPE_CHECKING:
    from vidperc.engine.worker import PrepareTask

# The tile side that is tried against the whole frame on a CPU, in input pixels; smaller ones spend more on overlap.
TILE_SIDE = 256
TILE_WITHOUT_REACH = 512

# A whole frame is only timed when it promises to take less than this; larger ones leave the cache, tiles do not.
WHOLE_FRAME_SECONDS = 1.5

# Multiplications of a tile that may be timed, about two seconds of one core.
MAX_TIMED_WORK = 2e11

# Frames travel together up to this much on a CPU: small ones share the cost of a step, large ones stay in the cache.
CHUNK_BYTES = 4 << 20
MAX_CHUNK = 16


def prepare(task: PrepareTask) -> tuple[Prepared, Pipeline]:
    """Check a pipeline against frames of the task's size and decide where and how it runs.

    Raises VidpercError when it cannot work: unknown weights, wrong scale, no such device.
    """
    spec, wishes, width, height = task.spec, task.wishes, task.width, task.height
    spec.check()
    out_width, out_height = spec.size(width, height)
    if task.guide is not None:
        check_guide_size(spec, *task.guide)
    if max(out_width, out_height) > 16384:
        raise VidpercError(
            f"output: {out_width}x{out_height} pixels from {width}x{height}, wanted at most 16384 a side; "
            f"use a smaller scale, or --resolution"
        )
    stages = [stage for stage in spec.stages if isinstance(stage, Upscale)]
    chains = [(stage.ensemble, find_chain(stage.model, stage.scale, stage.detail).cards) for stage in stages]
    cards = tuple(card for _, chain in chains for card in chain)
    holding = tuple(card for stage in spec.stages if isinstance(stage, Steady) if (card := stage.card))
    asked = (*cards, *holding)
    remarks: list[str] = []
    device = choose_device(wishes.device, remarks)
    torch.set_num_threads(task.threads)
    takes_luma = spec.takes_luma and task.guide is None  # what another program made may flicker in colour, too
    load = Load(
        width=width,
        height=height,
        out_width=out_width,
        out_height=out_height,
        frames=task.frames,
        encoder_bytes=task.encoder_bytes,
        cards=cards,
        takes_luma=takes_luma,
        guide=task.guide,
        steadied=any(isinstance(stage, Steady) and stage.strength for stage in spec.stages),
        holding=holding,
        ensemble=any(stage.ensemble > 1 for stage in stages),
        motions=tuple(stage for stage in spec.stages if isinstance(stage, FindMotion)),
    )
    budget = _budget(wishes, task.workers)
    placement = Placement(
        device=device,
        precision=choose_precision(wishes.precision, device, asked, remarks),
        tile=wishes.tile or 0,
        chunk=wishes.chunk or _chunk(width, height, device),
        threads=task.threads,
        instruction_set=instruction_set(),
    )
    if wishes.tile is None:
        placement = replace(placement, tile=_fastest_tile(stages, placement, load, budget))
        if device == "cpu":
            placement = fitted(placement, load, budget)
    pipeline = Pipeline(spec, placement)
    passes = sum(times * card.parameters for times, chain in chains for card in chain)
    prepared = Prepared(
        width=out_width,
        height=out_height,
        takes_luma=takes_luma,
        lead=spec.lead,
        tail=spec.tail,
        cards=asked,
        placement=placement,
        worker_bytes=worker_bytes(placement, load),
        load=load,
        frame_work=float(passes + sum(card.parameters for card in holding)) * width * height,
        versions=_versions(load),
        remarks=tuple(remarks),
    )
    return prepared, pipeline


def _versions(load: Load) -> dict[str, str]:
    """The versions that decide frames."""
    versions = {"torch": str(torch.__version__), "python": platform.python_version()}
    if load.motions:
        import cv2  # takes a tenth of a second, and has a say only in what moves

        versions["opencv"] = cv2.__version__
    return versions


def _budget(wishes: Wishes, workers: int) -> int:
    """Bytes that one of so many workers may take."""
    allowed = free_bytes() if wishes.max_bytes is None else min(free_bytes(), wishes.max_bytes)
    return (allowed - PARENT_BYTES) // workers


def choose_device(wish: str, remarks: list[str]) -> str:
    """A torch device for what the user asked, "auto" say; remarks get a line where it was chosen for them.

    Raises VidpercError for a device that is none, or is not there.
    """
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wish == "auto":
        device = "cuda:0" if available else "cpu"
        remarks.append(f"device {device} (chosen; --device to name another)")
        return device
    if wish == "cpu":
        return wish
    kind, _, number = wish.partition(":")
    if kind != "cuda" or not (number or "0").isdigit():
        raise VidpercError(f"--device {wish}: not a device, wanted auto, cpu, cuda or cuda:N")
    if int(number or 0) >= available:
        raise VidpercError(f"--device {wish}: torch sees {available} CUDA devices here; use --device cpu")
    return f"cuda:{number or 0}"


def choose_precision(wish: str, device: str, cards: tuple[ModelCard, ...], remarks: list[str]) -> Precision:
    """The type in which these networks run there, for what the user asked; remarks as for `choose_device`.

    Raises VidpercError for a name that is none.
    """
    names: dict[str, Precision] = {
        "float32": "float32",
        "fp32": "float32",
        "bfloat16": "bfloat16",
        "bf16": "bfloat16",
        "float16": "float16",
        "fp16": "float16",
    }
    if wish == "auto":
        networks = [card for card in cards if card.sha256]
        if not networks:
            return "float32"
        precision = fast_precision(device)
        safe = all(card.half_safe if precision == "float16" else card.bfloat16_safe for card in networks)
        chosen: Precision = precision if safe else "float32"
        remarks.append(f"precision {chosen} ({'what this machine is quick at' if safe else 'for safety'}; --precision)")
        return chosen
    if wish not in names:
        raise VidpercError(f"--precision {wish}: unknown, wanted one of auto, {', '.join(names)}")
    return names[wish]


def _chunk(width: int, height: int, device: str) -> int:
    frame_bytes = 3 * 4 * width * height
    if device == "cpu":
        return max(1, min(MAX_CHUNK, CHUNK_BYTES // frame_bytes))
    free, _ = torch.cuda.mem_get_info(device)
    return int(max(1, min(MAX_CHUNK, free // (256 * frame_bytes))))


def _fastest_tile(stages: list[Upscale], placement: Placement, load: Load, budget: int) -> int:
    """The tile side that a frame passes quickest with, timed on noise within a second or two; 0 is the whole frame.

    A network whose reach is not known gets the whole frame as long as memory holds it: its tiles could show.
    """
    if not stages:
        return 0
    chain = find_chain(stages[0].model, stages[0].scale)
    card = chain.cards[0]
    if placement.device != "cpu" or not card.tileable or card.reach == 0:
        return 0
    if card.reach is None:
        return 0 if worker_bytes(placement, load) <= budget else TILE_WITHOUT_REACH
    width, height = load.width, load.height
    read = TILE_SIDE + 2 * card.reach
    if max(width, height) <= read:
        return 0
    if card.parameters * read * read > MAX_TIMED_WORK or worker_bytes(placement, load) > budget:
        return TILE_SIDE
    model = load_model(chain.models[0], card.scale, placement)
    model(torch.rand(1, 3, 64, 64))
    high, wide = min(read, height), min(read, width)
    tile_seconds = _timed(model, high, wide)
    tiles_seconds = tile_seconds * -(-width // TILE_SIDE) * -(-height // TILE_SIDE)
    if tile_seconds * width * height / (high * wide) > WHOLE_FRAME_SECONDS:
        return TILE_SIDE
    return 0 if _timed(model, height, width) <= tiles_seconds else TILE_SIDE


def _timed(model: Model, height: int, width: int) -> float:
    noise = torch.rand(1, 3, height, width)
    began = perf_counter()
    model(noise)
    return perf_counter() - began
