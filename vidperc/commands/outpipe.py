"""Output to a pipe: standard output carries the video and nothing else, whatever prints."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO, cast

from vidperc.errors import VidpercError

PIPE = "-"


@contextlib.contextmanager
def piped_out(output: str | None) -> Generator[tuple[str | None, BinaryIO | None]]:
    """The output's name, and the pipe when it was "-"; its name is then in a folder that goes with the run.

    Raises VidpercError when standard output is a terminal, or closed.
    """
    if output != PIPE:
        yield output, None
        return
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise VidpercError("-o -: standard output is closed; choose a file with -o")
    if sys.stdout.isatty():
        raise VidpercError("-o -: standard output is a terminal; pipe it into a program, as in `-o - | ffplay -`")
    with tempfile.TemporaryDirectory(prefix="vidperc-", ignore_cleanup_errors=True) as folder, _stdout() as pipe:
        yield str(Path(folder) / "output.y4m"), pipe


@contextlib.contextmanager
def _stdout() -> Generator[BinaryIO]:
    """Standard output without a buffer; what others write there goes to standard error."""
    sys.stdout.flush()
    pipe = os.dup(1)
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(pipe, os.O_BINARY)
    try:
        with os.fdopen(pipe, "wb", buffering=0, closefd=False) as file:
            yield cast("BinaryIO", file)
    finally:
        os.dup2(pipe, 1)
        os.close(pipe)
