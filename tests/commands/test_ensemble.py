"""`upscale --ensemble`: what it makes, what it tells, what it refuses in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import vidperc
from tests.clips import decoded_frames, make_clip
from tests.commands.conftest import Lines
from tests.recurrent_files import save_recurrent
from tests.twin_files import save_luma


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", frames=6)


def test_frames_are_other_ones_and_the_report_says_so(run: Lines, clip: Path, tmp_path: Path) -> None:
    common = ["upscale", "clip.mp4", "-m", save_luma(tmp_path / "mine.safetensors"), "-c", "ffv1", "--device", "cpu"]
    for name, options in {"usual": [], "1": ["--ensemble", "1"], "4": ["--ensemble", "4"]}.items():
        code, _, err = run(*common, "-o", f"{name}.mkv", "--report", f"{name}.json", *options)
        assert code == 0, err
    frames = {name: decoded_frames(tmp_path / f"{name}.mkv") for name in ("usual", "1", "4")}
    assert frames["usual"] == frames["1"] != frames["4"]
    (told,) = json.loads((tmp_path / "4.json").read_text())["jobs"]
    assert told["pipeline"][0]["ensemble"] == 4
    assert told["frames_out"] == 6
    code, _, err = run(*common, "-o", "1.mkv", "--ensemble", "2")
    assert code == 1 and "exists and was made with other settings" in err[-1]


def test_the_library_takes_it(clip: Path, tmp_path: Path) -> None:
    path = str(save_luma(tmp_path / "mine.safetensors"))
    report = vidperc.upscale(clip, tmp_path / "out.mkv", model=path, ensemble=2, device="cpu")
    assert report.pipeline[0]["ensemble"] == 2


@pytest.mark.parametrize("count", ["0", "3", "16"])
def test_other_counts_are_one_line(count: str, run: Lines, clip: Path) -> None:
    code, out, err = run("upscale", clip.name, "--ensemble", count)
    assert (code, out) == (1, [])
    assert err == [f"vidperc: --ensemble {count}: wanted 1, 2, 4 or 8 orientations of a frame"]


def test_a_recurrent_network_is_one_line(run: Lines, clip: Path, tmp_path: Path) -> None:
    path = save_recurrent(tmp_path / "moving.safetensors")
    code, out, err = run("upscale", clip.name, "-m", path, "--ensemble", "2")
    assert (code, out) == (1, [])
    (line,) = err
    assert line.endswith("and this one is recurrent; leave ensemble out")
    assert not list(tmp_path.glob("clip_*")), "nothing is left behind"
