"""How much memory a worker takes, and how it takes less."""

from __future__ import annotations

from dataclasses import dataclass, replace

import psutil

from vidperc.models.card import ModelCard
from vidperc.placement import Placement
from vidperc.stages.motion import FindMotion

# A worker with nothing but its imports, measured as its proportional set size; and the program that runs it.
WORKER_BYTES = 360 << 20
PARENT_BYTES = 100 << 20

# What threads of tensor work and of codecs take beside, measured.
THREAD_BYTES = 100 << 20

# Frames read ahead, in bytes; always at least one frame.
READ_AHEAD_BYTES = 48 << 20

# Below this a tile is mostly overlap.
LEAST_TILE = 64
LARGEST_TILE = 1024

# Feature maps of its widest layer that a network holds at once; and channels where a card does not tell them.
HELD_MAPS = 2.5
UNKNOWN_CHANNELS = 150


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a worker's memory depends on besides its placement.

    width, height: of the source; out_width, out_height: of the output. frames: of the longest segment, at most.
    encoder_bytes: what the encoder takes for each pixel of the output. motions: the stages that find motion.
    guide: width and height of the guide, where there is one. steadied: a stage holds what others made. holding: the
    networks by which they do. ensemble: a network enlarges a frame in several orientations.
    """

    width: int
    height: int
    out_width: int
    out_height: int
    frames: int
    encoder_bytes: int
    cards: tuple[ModelCard, ...]
    takes_luma: bool
    motions: tuple[FindMotion, ...] = ()
    guide: tuple[int, int] | None = None
    steadied: bool = False
    holding: tuple[ModelCard, ...] = ()
    ensemble: bool = False


def free_bytes() -> int:
    """What a job may take of the memory that is free now; the rest is left to others."""
    return int(psutil.virtual_memory().available * 0.8)


def worker_bytes(placement: Placement, load: Load) -> int:
    """What one worker is expected to take: itself, its read-ahead, its encoder, and the tensors of one step.

    An estimate from above, for planning.
    """
    source, output = load.width * load.height, load.out_width * load.out_height
    guide_width, guide_height = load.guide or (load.width, load.height)
    guide = guide_width * guide_height if load.guide else 0
    held = load.encoder_bytes * output
    # Luma and quartered chroma, or RGB, as float32: what came in, what goes out, and a copy of a plane on the way.
    channels = 1.5 if load.takes_luma else 3.0
    came_in = int(4 * channels * placement.chunk * (source + guide))
    made = int(4 * channels * placement.chunk * output) + 2 * output
    if load.steadied:  # its result, and of one frame the source's, what was held, and that moved, beside flow and masks
        made += int(4 * channels * (placement.chunk + 4) * output) + 4 * 6 * output
    if load.ensemble:  # of one frame the sum, and what is added to it
        made += int(4 * channels * 2 * output)
    width, height = load.width, load.height
    for card in load.cards:  # a recurrent one holds what it made, however small its tiles are
        made += card.held_bytes(width, height)
        width, height = width * card.scale, height * card.scale
    features = max((_feature_bytes(card, placement, source) for card in load.cards if card.parameters), default=0)
    for card in load.holding:  # what it sees, 6 planes and the same in cells, what it answers, and a few on the way
        made += 4 * 24 * output
        features = max(features, _feature_bytes(card, placement, output // 4))
    # A single frame is made before the encoder holds anything; with more, both are there.
    pictures = max(made + features, 4 * output + held) if load.frames == 1 else made + features + held
    read_ahead = 2 * min(READ_AHEAD_BYTES, load.frames * 2 * (output + guide))
    motion = sum(stage.held_bytes(guide_width, guide_height, placement.chunk) for stage in load.motions)
    threads = THREAD_BYTES if placement.threads > 1 else 0
    return WORKER_BYTES + threads + read_ahead + came_in + motion + pictures


def _feature_bytes(card: ModelCard, placement: Placement, pixels: int) -> int:
    side = placement.tile + 2 * (card.reach or 32)
    pixels = min(side * side, pixels) if placement.tile else pixels
    number = 4 if placement.precision == "float32" else 2
    return int(HELD_MAPS * (card.channels or UNKNOWN_CHANNELS) * number * pixels) + 4 * card.parameters


def smaller(placement: Placement, load: Load) -> Placement | None:
    """The placement that takes the next less memory: half the chunk, then tiles, then half of them; None at the end.

    On a CPU neither changes a frame.
    """
    if placement.chunk > 1:
        return replace(placement, chunk=placement.chunk // 2)
    if not load.cards or not all(card.tileable for card in load.cards if card.parameters):
        return None
    side = min(max(load.width, load.height), 2 * LARGEST_TILE)
    tile = (placement.tile or side) // 2
    return replace(placement, tile=tile) if tile >= LEAST_TILE else None


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU (torch.OutOfMemoryError) or of the machine."""
    text = str(error)
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def fitted(placement: Placement, load: Load, budget: int) -> Placement:
    """The placement, or a smaller one whose worker takes at most `budget` bytes as far as one does."""
    while worker_bytes(placement, load) > budget and (less := smaller(placement, load)) is not None:
        placement = less
    return placement
