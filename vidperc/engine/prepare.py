"""What a worker finds out for the plan before any frame is rendered: sizes, networks, placement, memory."""

from __future__ import annotations

import platform
from dataclasses import replace
from time import perf_counter

import psutil
import torch

from vidperc.engine.plan import Prepared, Wishes
from vidperc.errors import VidpercError
from vidperc.models.card import ModelCard
from vidperc.models.load import Model, load_model
from vidperc.models.zoo import find_card
from vidperc.pipeline import Pipeline, PipelineSpec
from vidperc.placement import Placement, Precision
from vidperc.stages.upscale import Upscale

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

# A worker with nothing loaded, measured as its proportional set size.
WORKER_BYTES = 420 << 20


def prepare(spec: PipelineSpec, wishes: Wishes, *, width: int, height: int, threads: int) -> tuple[Prepared, Pipeline]:
    """Check a pipeline against frames of this size and decide where and how it runs.

    Raises VidpercError when it cannot work: unknown weights, wrong scale, no such device.
    """
    spec.check()
    out_width, out_height = spec.size(width, height)
    if max(out_width, out_height) > 16384:
        raise VidpercError(
            f"output: {out_width}x{out_height} pixels from {width}x{height}, wanted at most 16384 a side; "
            f"use a smaller scale, or --resolution"
        )
    cards = tuple(find_card(stage.model, stage.scale) for stage in spec.stages if isinstance(stage, Upscale))
    remarks: list[str] = []
    device = _device(wishes.device, remarks)
    torch.set_num_threads(threads)
    placement = Placement(
        device=device,
        precision=_precision(wishes.precision, device, cards),
        tile=wishes.tile or 0,
        chunk=wishes.chunk or _chunk(width, height, device),
        threads=threads,
        instruction_set=instruction_set(),
    )
    if wishes.tile is None:
        placement = replace(placement, tile=_fastest_tile(spec, placement, cards, width, height))
    pipeline = Pipeline(spec, placement)
    prepared = Prepared(
        width=out_width,
        height=out_height,
        lead=spec.lead,
        tail=spec.tail,
        cards=cards,
        placement=placement,
        worker_bytes=_worker_bytes(placement, cards, width, height, out_width, out_height),
        frame_work=float(sum(card.parameters for card in cards)) * width * height,
        versions={"torch": str(torch.__version__), "python": platform.python_version()},
        remarks=tuple(remarks),
    )
    return prepared, pipeline


def instruction_set() -> str:
    """What the CPU's kernels were chosen for, as torch names it."""
    return torch.backends.cpu.get_cpu_capability()


def _device(wish: str, remarks: list[str]) -> str:
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


def _precision(wish: str, device: str, cards: tuple[ModelCard, ...]) -> Precision:
    names: dict[str, Precision] = {
        "float32": "float32",
        "fp32": "float32",
        "bfloat16": "bfloat16",
        "bf16": "bfloat16",
        "float16": "float16",
        "fp16": "float16",
    }
    if wish == "auto":
        half = device != "cpu" and bool(cards) and all(card.half_safe for card in cards)
        return "float16" if half else "float32"
    if wish not in names:
        raise VidpercError(f"--precision {wish}: unknown, wanted one of auto, {', '.join(names)}")
    return names[wish]


def _chunk(width: int, height: int, device: str) -> int:
    frame_bytes = 3 * 4 * width * height
    if device == "cpu":
        return max(1, min(MAX_CHUNK, CHUNK_BYTES // frame_bytes))
    free, _ = torch.cuda.mem_get_info(device)
    return int(max(1, min(MAX_CHUNK, free // (256 * frame_bytes))))


def _fastest_tile(
    spec: PipelineSpec, placement: Placement, cards: tuple[ModelCard, ...], width: int, height: int
) -> int:
    """The tile side that a frame passes quickest with, timed on noise within a second or two; 0 is the whole frame.

    A network whose reach is not known gets the whole frame as long as memory holds it: its tiles could show.
    """
    stage = next((stage for stage in spec.stages if isinstance(stage, Upscale)), None)
    if stage is None or placement.device != "cpu" or not cards[0].tileable or cards[0].reach == 0:
        return 0
    if cards[0].reach is None:
        fits = 4 * _feature_bytes(cards[0], width * height) < psutil.virtual_memory().available
        return 0 if fits else TILE_WITHOUT_REACH
    read = TILE_SIDE + 2 * cards[0].reach
    if max(width, height) <= read:
        return 0
    if cards[0].parameters * read * read > MAX_TIMED_WORK:
        return TILE_SIDE
    model = load_model(stage.model, stage.scale, placement)
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


def _feature_bytes(card: ModelCard, pixels: int) -> int:
    """What a network holds while it works on so many pixels: taken as six feature maps of 64 channels."""
    return 6 * 64 * 4 * pixels + 4 * card.parameters


def _worker_bytes(
    placement: Placement, cards: tuple[ModelCard, ...], width: int, height: int, out_width: int, out_height: int
) -> int:
    """What one worker is expected to take: itself, its read-ahead, its encoder, and the tensors of one step.

    An estimate from above, for planning.
    """
    source, output = 4 * width * height, 4 * out_width * out_height
    queues = 2 * (48 << 20) + 40 * (out_width * out_height * 3 // 2)
    pictures = placement.chunk * 3 * (2 * source + 3 * output)
    features = 0
    for card in cards:
        if card.parameters:
            side = placement.tile + 2 * (card.reach or 32)
            pixels = side * side if placement.tile else width * height
            features = max(features, _feature_bytes(card, pixels))
    return WORKER_BYTES + queues + pictures + features
