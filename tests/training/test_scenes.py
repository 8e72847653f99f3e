from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vidperc.errors import VidpercError
from vidperc.training.scenes import read_scenes


def write(path: Path, pictures: list[np.ndarray], rate: int = 25) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "10", "preset": "ultrafast"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, rate)
        for pts, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = pts
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def shot(seed: int, frames: int, height: int = 72, width: int = 128) -> list[np.ndarray]:
    """A camera that pans over blocks of its own colours."""
    blocks = np.random.default_rng(seed).integers(70, 180, (12, 40, 3), dtype=np.uint8)
    wide = blocks.repeat(8, axis=0).repeat(8, axis=1)
    return [wide[:height, shift : shift + width] for shift in range(frames)]


def test_what_is_between_cuts_is_a_scene_and_short_ones_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "cuts.mp4", [*shot(1, 20), *shot(2, 8), *shot(3, 14)])
    said: list[str] = []
    scenes = read_scenes([path], side=36, least=10, say=said.append)
    assert [scene.frames.shape for scene in scenes] == [(20, 36, 64, 3), (14, 36, 64, 3)]
    assert all(scene.frames.dtype == np.uint8 and scene.usual for scene in scenes)
    assert said == ["cuts.mp4: 2 scenes, 34 frames"]
    first = np.asarray(shot(1, 20)[0], float).reshape(36, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.abs(scenes[0].frames[0] - first).mean() < 6


@pytest.mark.parametrize(("rate", "frames", "usual"), [(60, 12, True), (50, 12, True), (30, 24, True), (12, 24, False)])
def test_frames_come_at_a_usual_rate_or_it_is_known_that_they_do_not(
    tmp_path: Path, rate: int, frames: int, usual: bool
) -> None:
    path = write(tmp_path / "rate.mp4", shot(1, 24), rate)
    (scene,) = read_scenes([path], side=36, least=4, say=lambda _: None)
    assert (len(scene.frames), scene.usual) == (frames, usual)


def test_a_file_that_is_no_video_is_told(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no")
    with pytest.raises(VidpercError, match=r"no\.mp4"):
        read_scenes([tmp_path / "no.mp4"], side=36, least=4, say=lambda _: None)
