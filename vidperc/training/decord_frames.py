"""Frames by their number through decord, where it is installed and gives what our own reader gives."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidperc.training.clips import ClipPixels

_WITHIN = 1  # 8-bit codes

Read = Callable[[int, int], ClipPixels | None]


def without_decord(path: Path, count: int, ours: Read) -> str:
    """Why decord is not used for a video, in words; empty where it may be.

    count: frames that our index has. ours: reads the frames first to behind - 1, (T,H,W,3) uint8 RGB, None where they
    are damaged. Three frames are compared: networks must not learn from other colours than they will be given.
    """
    try:
        importlib.import_module("decord")
    except (ImportError, OSError) as error:  # a library that does not load is an OSError
        return "not installed" if isinstance(error, ModuleNotFoundError) else f"does not load ({error})"
    try:
        reader = _open(path)
        if len(reader) != count:
            return f"has {len(reader)} of {count} frames"
        for place in sorted({0, count // 2, count - 1}):
            wanted, got = ours(place, place + 1), _frames(reader, [place])
            if wanted is None:
                return "not compared, frames are damaged"
            if wanted.shape != got.shape:
                return f"has frames of {got.shape[2]}x{got.shape[1]}, not {wanted.shape[2]}x{wanted.shape[1]}"
            differs = int(np.abs(wanted.astype(np.int16) - got).max())
            if differs > _WITHIN:
                return f"differs by {differs} codes"
    except RuntimeError as error:  # decord's own error is one
        return f"fails ({' '.join(str(error).split())[-60:]})"
    return ""


def read_by_decord(path: Path, first: int, behind: int) -> ClipPixels:
    """The frames first to behind - 1, (T,H,W,3) uint8 RGB. For videos that `without_decord` has nothing against."""
    return _frames(_open(path), list(range(first, behind)))


def _open(path: Path) -> Any:
    decord = importlib.import_module("decord")
    return decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)


def _frames(reader: Any, places: Sequence[int]) -> ClipPixels:
    return reader.get_batch(places).asnumpy()
