"""Input from a pipe: written to a file beside the output first, because a job reads its source more than once."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import BinaryIO

from vidperc.errors import VidpercError
from vidperc.video.identity import WORK_MARK

PIPE = Path("-")

CHUNK_BYTES = 1 << 20


@contextlib.contextmanager
def spooled(inputs: Sequence[Path], output: str | None, pipe: BinaryIO | None = None) -> Generator[tuple[Path, ...]]:
    """The inputs, with a file in place of "-"; it is deleted at the end, and so is what an unfinished run left.

    output: of the command line; its folder is where the file lies, for there must be room for the output anyway.
    pipe: None for standard input. Raises VidpercError when it gives nothing, or there is no room.
    """
    if PIPE not in inputs:
        yield tuple(inputs)
        return
    if len(inputs) > 1:
        raise VidpercError("-: standard input is one video, got other inputs beside it; run them apart")
    if output is None or Path(output).is_dir() or output.endswith("/"):
        raise VidpercError("-: standard input has no name, so its output needs one; add -o FILE")
    place = Path(output).absolute()
    if not place.parent.is_dir():
        raise VidpercError(f"{place.parent}: no such folder; make it first, or choose another -o")
    file = place.with_name(f"{place.name}{WORK_MARK}input")
    journals = f"{place.name}{WORK_MARK}*"
    before = set(place.parent.glob(journals))
    try:
        _write(file, pipe or sys.stdin.buffer)
        yield (file,)
    finally:
        file.unlink(missing_ok=True)
        for left in set(place.parent.glob(journals)) - before:
            shutil.rmtree(left, ignore_errors=True)  # of a run that no command can take up


def _write(file: Path, pipe: BinaryIO) -> None:
    nbytes = 0
    try:
        with file.open("wb") as spool:
            while block := pipe.read(CHUNK_BYTES):
                nbytes += spool.write(block)
    except OSError as error:
        raise VidpercError(f"{file}: standard input cannot be kept there ({error.strerror})") from error
    if not nbytes:
        raise VidpercError("-: standard input gave nothing, wanted a video")
