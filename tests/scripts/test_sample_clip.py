from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType

SCRIPT = Path(__file__).parents[2] / "scripts" / "sample_clip.py"


def make(path: Path, *options: str) -> Path:
    subprocess.run([sys.executable, SCRIPT, path, *options], check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("clip") / "sample.mp4", "--frames", "24", "--size", "160x90")


def test_it_has_the_asked_frames_sound_subtitles_chapters_and_title(clip: Path) -> None:
    with av.open(str(clip)) as container:
        assert [stream.type for stream in container.streams][:3] == ["video", "audio", "subtitle"]
        assert container.metadata["title"] == "vidperc sample clip"
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["Street", "Lake"]
        frames = list(container.decode(video=0))
    assert len(frames) == 24
    assert (frames[0].width, frames[0].height) == (160, 90)
    assert [int(frame.colorspace) for frame in frames] == [1] * 24
    assert {PictureType(frame.pict_type) for frame in frames} >= {PictureType.I, PictureType.P, PictureType.B}


def test_it_has_one_hard_cut_at_half_time(clip: Path) -> None:
    with av.open(str(clip)) as container:
        frames = [frame.to_ndarray(format="gray").astype(float) for frame in container.decode(video=0)]
    changes = [np.abs(after - before).mean() for before, after in pairwise(frames)]
    assert int(np.argmax(changes)) == 11
    assert changes[11] > 2 * sorted(changes)[-2]


def test_the_same_arguments_give_the_same_bytes(clip: Path, tmp_path: Path) -> None:
    again = make(tmp_path / "again.mp4", "--frames", "24", "--size", "160x90")
    assert again.read_bytes() == clip.read_bytes()


def test_an_odd_size_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "a.mp4", "--size", "161x90"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--size: got 161x90, wanted even numbers" in done.stderr
