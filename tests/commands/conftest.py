"""Running command lines in the process of the tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vidperc.cli import main
from vidperc.commands import videos
from vidperc.engine.pool import WorkerPool

Raw = Callable[..., tuple[int, str, str]]
Lines = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Raw:
    """Runs a command line in tmp_path: exit code, stdout, stderr (the workers' too)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["vidperc", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capfd.readouterr()
        assert isinstance(left.value.code, int)
        return left.value.code, out, err

    return run


@pytest.fixture
def vidperc(command_line: Raw) -> Lines:
    """Runs a command line in tmp_path: exit code, lines on stdout, lines on stderr."""

    def run(*arguments: object) -> tuple[int, list[str], list[str]]:
        code, out, err = command_line(*arguments)
        return code, out.splitlines(), err.splitlines()

    return run


@pytest.fixture(scope="module")
def shared_pool() -> Iterator[WorkerPool]:
    """The commands of a file share their workers, which would start for each anew."""
    with WorkerPool() as workers, pytest.MonkeyPatch.context() as patch:

        class Shared:
            def __init__(self, **_: object) -> None:
                pass

            def __enter__(self) -> WorkerPool:
                return workers

            def __exit__(self, *_: object) -> None:
                pass

        patch.setattr(videos, "WorkerPool", Shared)
        yield workers


@pytest.fixture
def run(vidperc: Lines, shared_pool: WorkerPool) -> Lines:
    """The same for the many commands of a file, whose workers start once."""
    assert shared_pool is not None
    return vidperc
