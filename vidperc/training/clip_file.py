"""The file of a clip cache: safetensors, written clip by clip in any order, read memory-mapped."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from vidperc.errors import VidpercError

Arrays = Mapping[str, NDArray[Any]]

# Wider ones first, so that each begins where its numbers are aligned.
_TYPES = {
    "flow": ("F16", np.float16),
    "large": ("U8", np.uint8),
    "small": ("U8", np.uint8),
    "visible": ("U8", np.uint8),
}


class ClipFile:
    """A context that writes clips to PATH.partial, which becomes PATH when it is left in peace, and goes otherwise.

    count: of clips. shapes: of one clip's arrays: flow float16, large, small and visible uint8. facts: its metadata.
    The bytes do not depend on the order in which clips are put. Raises VidpercError where the disk refuses.
    """

    def __init__(self, path: Path, count: int, shapes: Mapping[str, tuple[int, ...]], facts: Mapping[str, str]) -> None:
        self._path, self._partial = path, path.with_suffix(".partial")
        self._starts: dict[str, int] = {}
        self._lock = threading.Lock()
        header: dict[str, Any] = {"__metadata__": dict(sorted(facts.items()))}
        end = 0
        for name, (code, kind) in _TYPES.items():
            self._starts[name] = end
            end += count * int(np.prod(shapes[name])) * np.dtype(kind).itemsize
            header[name] = {"dtype": code, "shape": [count, *shapes[name]], "data_offsets": [self._starts[name], end]}
        told = json.dumps(header, separators=(",", ":")).encode()
        told += b" " * (-len(told) % 8)
        self._head = len(told).to_bytes(8, "little") + told
        self._end = len(self._head) + end

    def __enter__(self) -> ClipFile:
        try:
            self._file = self._partial.open("wb")
            self._file.write(self._head)
            self._file.truncate(self._end)
            self._file.flush()
        except OSError as error:
            self._partial.unlink(missing_ok=True)
            raise self._refused(error) from error
        return self

    def put(self, place: int, arrays: Arrays) -> None:
        """Write the arrays of the clip of this place; from any thread."""
        with self._lock:
            for name, start in self._starts.items():
                _, kind = _TYPES[name]
                content = np.ascontiguousarray(arrays[name], dtype=kind)
                try:
                    self._file.seek(len(self._head) + start + place * content.nbytes)
                    self._file.write(content.data)
                except OSError as error:
                    raise self._refused(error) from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self._file.close()
            if kind is None:
                self._partial.replace(self._path)
        except OSError as refused:
            if kind is None:
                raise self._refused(refused) from refused
        finally:
            self._partial.unlink(missing_ok=True)

    def _refused(self, error: OSError) -> VidpercError:
        return VidpercError(
            f"{self._partial}: cannot be written ({error.strerror}, {self._end >> 20} MiB wanted); free some "
            "space, name another folder, or ask for fewer clips"
        )


def map_clips(path: Path) -> Arrays:
    """The arrays of a file that `ClipFile` wrote, (count,...) each, memory-mapped and not to be written to.

    Raises VidpercError for one that holds something else or is not whole.
    """
    try:
        with safe_open(path, framework="np") as file:  # pyright: ignore[reportUnknownVariableType]
            names = set(file.keys())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if names != set(_TYPES):
            raise ValueError(f"got {', '.join(sorted(names))}, wanted {', '.join(_TYPES)}")  # pyright: ignore[reportUnknownArgumentType]
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
    except (SafetensorError, OSError, ValueError) as error:
        told = " ".join(str(error).split())
        raise VidpercError(f"{path}: holds no clips ({told}); remove it, and they are made again") from error
    return {
        name: np.memmap(path, kind, "r", 8 + length + header[name]["data_offsets"][0], tuple(header[name]["shape"]))
        for name, (_, kind) in _TYPES.items()
    }
