"""Video from standard input."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clips import ffprobe_times, make_clip


def piped(folder, content, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "vidperc", "upscale", "-", *arguments, "--no-progress"]
    run = subprocess.run(
        command, cwd=folder, env=environment, input=content, capture_output=True, timeout=120, check=False
    )
    return run.returncode, run.stderr.decode().splitlines()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_video_from_a_pipe_is_enlarged_whole_and_its_copy_is_gone(suffix, tmp_path):
    source = make_clip(tmp_path / f"in{suffix}", frames=12)
    code, said = piped(tmp_path, source.read_bytes(), "-m", "bicubic", "-o", "out.mp4")
    assert code == 0, said
    assert "standard input was kept in this file" in said[0]
    assert "cannot be resumed" in said[0]
    found = ffprobe_times(tmp_path / "out.mp4")
    assert found == ffprobe_times(source)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"in{suffix}", "out.mp4"]


@pytest.mark.parametrize(
    ("content", "arguments", "told"),
    [
        (b"", ["-o", "out.mp4"], "standard input gave nothing"),
        (b"text" * 100, ["-o", "out.mp4"], "not a video that can be read"),
        (b"text", [], "add -o FILE"),
        (b"text", ["other.mp4", "-o", "out.mp4"], "run them apart"),
    ],
)
def test_what_a_pipe_cannot_give_is_refused_and_leaves_nothing(content, arguments, told, tmp_path):
    code, said = piped(tmp_path, content, *arguments)
    assert code == 1
    assert told in said[-1]
    assert list(tmp_path.iterdir()) == []
