"""Runs a network over a frame in overlapping tiles and pastes what it makes into place."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

# For networks whose reach is not known. What they see beyond 32 pixels is faint in practice, so seams stay
# invisible; a larger overlap soon costs more than the tile itself (32 around a tile of 128 is already 2.25 times).
OVERLAP_WITHOUT_REACH = 32


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in input pixels: what the network reads, and the part of it that is kept."""

    read_start: int
    read_stop: int
    keep_start: int
    keep_stop: int


def cut(length: int, *, tile: int, overlap: int, multiple_of: int = 1, least: int = 1) -> list[Span]:
    """The tiles along one axis of `length` pixels, in order; what they keep covers the axis without overlap.

    tile: pixels that a tile keeps (the last one fewer). overlap: pixels read on each side of it; a tile at a border
    ends at the border, so that the network pads there as it does for the whole frame.
    multiple_of: every start and stop is a multiple of it (tile, overlap and least are rounded up), so that pixel
    unshuffling and strides fall on the same pixels as in the whole frame; `length` must be a multiple itself.
    least: the fewest pixels that a tile reads; a short tile reads further into the frame.

    Raises ValueError for sizes that cannot be.
    """
    if length < 1 or tile < 1 or overlap < 0 or multiple_of < 1 or length % multiple_of:
        raise ValueError(f"cannot cut {length} into tiles of {tile}, overlap {overlap}, multiple of {multiple_of}")
    tile = _round_up(tile, multiple_of)
    overlap = _round_up(overlap, multiple_of)
    least = min(_round_up(least, multiple_of), length)
    spans: list[Span] = []
    for keep_start in range(0, length, tile):
        keep_stop = min(keep_start + tile, length)
        read_start = max(keep_start - overlap, 0)
        read_stop = min(keep_stop + overlap, length)
        read_stop = min(max(read_stop, read_start + least), length)
        read_start = max(min(read_start, read_stop - least), 0)
        spans.append(Span(read_start, read_stop, keep_start, keep_stop))
    return spans


def through_tiles(
    frames: Tensor,
    network: Callable[[Tensor], Tensor],
    out: Tensor,
    *,
    scale: int,
    tile: int,
    overlap: int,
    multiple_of: int = 1,
    minimum: int = 1,
    minimum_pixels: int = 1,
) -> None:
    """Fills `out` with what the network makes of the frames, one tile at a time.

    frames: (T,C,h,w), already padded to `multiple_of` and `minimum`. network: (T,C,a,b) to (T,K,a*scale,b*scale).
    out: (T,K,H,W) with H <= h*scale and W <= w*scale, written in place; what padding made beyond it is dropped.
    tile, overlap, multiple_of: as in `cut`. minimum: the least side a tile reads; minimum_pixels: the least area,
    as far as the frame has it.

    With an overlap of at least the network's reach, and one kernel for all sizes, `out` gets the bits of the whole
    frame; the CPU's convolution kernels are the same for every tile that is large enough (see `minimum_pixels`
    where it is set). Never more than one tile's activations are held.
    """
    height, width = frames.shape[-2:]
    least_height, least_width = _least_sides(height, width, minimum=minimum, pixels=minimum_pixels)
    rows = cut(height, tile=tile, overlap=overlap, multiple_of=multiple_of, least=least_height)
    columns = cut(width, tile=tile, overlap=overlap, multiple_of=multiple_of, least=least_width)
    for row in rows:
        top, bottom = row.keep_start * scale, min(row.keep_stop * scale, out.shape[-2])
        for column in columns:
            left, right = column.keep_start * scale, min(column.keep_stop * scale, out.shape[-1])
            if top >= bottom or left >= right:
                continue
            read = frames[..., row.read_start : row.read_stop, column.read_start : column.read_stop]
            made = network(read)
            y, x = row.read_start * scale, column.read_start * scale
            out[..., top:bottom, left:right] = made[..., top - y : bottom - y, left - x : right - x]


def _least_sides(height: int, width: int, *, minimum: int, pixels: int) -> tuple[int, int]:
    least_height = min(height, max(minimum, math.isqrt(pixels - 1) + 1))
    least_width = min(width, max(minimum, _divide_up(pixels, least_height)))
    return min(height, max(least_height, _divide_up(pixels, least_width))), least_width


def _divide_up(number: int, by: int) -> int:
    return -(-number // by)


def _round_up(number: int, multiple_of: int) -> int:
    return _divide_up(number, multiple_of) * multiple_of
