from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.clips import make_clip, picture
from tests.training.test_scenes import shot, write
from vidperc.errors import VidpercError
from vidperc.training.clips import to_pixels
from vidperc.training.footage import open_frames, open_video, read_excerpt
from vidperc.video.rgb import read_rgb


def every_frame(path: Path) -> np.ndarray:
    return np.concatenate([to_pixels(frame[None]) for frame in read_rgb(path)])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_an_excerpt_is_those_frames_wherever_it_begins(tmp_path: Path, suffix: str) -> None:
    path = make_clip(tmp_path / f"clip{suffix}", frames=40)
    footage, frames = open_video(path), every_frame(path)
    assert (footage.width, footage.height, footage.shots) == (96, 64, ((0, 40),))
    assert footage.reader == "PyAV"
    for start in (0, 1, 11, 12, 13, 29, 35):
        excerpt = read_excerpt(footage, start, 5, 1)
        assert excerpt is not None and np.array_equal(excerpt, frames[start : start + 5])


def test_an_excerpt_is_shrunk_as_asked(tmp_path: Path) -> None:
    footage = open_video(make_clip(tmp_path / "clip.mp4", frames=4))
    excerpt = read_excerpt(footage, 1, 2, 0.55)
    assert excerpt is not None and excerpt.shape == (2, 35, 53, 3) and excerpt.dtype == np.uint8


def test_places_where_a_clip_may_begin_lie_in_shots_long_enough_for_it(tmp_path: Path) -> None:
    footage = open_video(write(tmp_path / "cuts.mp4", [*shot(1, 12), *shot(2, 5), *shot(3, 23)]))
    assert footage.shots == ((0, 12), (12, 17), (17, 40))
    starts = [footage.start(place, 10) for place in range(footage.starts(10))]
    assert starts == [0, 1, 2, *range(17, 31)]
    with pytest.raises(ValueError, match="got 17"):
        footage.start(17, 10)


def test_damaged_frames_give_no_excerpt_and_whole_ones_do(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv", frames=60)
    whole, content = open_video(path), bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = b"\xff" * 400
    path.write_bytes(content)
    found = [read_excerpt(whole, start, 5, 1) is not None for start in range(0, 56, 5)]
    assert found[0] and not all(found)


def write_frames(folder: Path, frames: list[np.ndarray]) -> Path:
    folder.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"frame_{number + 8}.png")  # 10 is after 9, and before it by name
    return folder


def test_a_folder_of_numbered_images_is_footage(tmp_path: Path) -> None:
    frames = [picture(index, 96, 64) for index in range(8)]
    footage = open_frames(write_frames(tmp_path / "frames", frames))
    assert (footage.width, footage.height, footage.shots, footage.reader) == (96, 64, ((0, 8),), "images")
    excerpt = read_excerpt(footage, 1, 6, 1)
    assert excerpt is not None and np.array_equal(excerpt, np.stack(frames[1:7]))


def test_no_excerpt_of_a_folder_goes_through_a_cut_or_another_size(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    blocks = [chance.integers(0, 255, (12, 40, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1) for _ in range(2)]
    frames = [blocks[place >= 6][:64, place : place + 96] for place in range(12)]
    folder = write_frames(tmp_path / "frames", [*frames, np.zeros((64, 80, 3), np.uint8)])
    footage = open_frames(folder)
    assert footage.shots == ((0, 6), (6, 12))
    assert [footage.start(place, 5) for place in range(footage.starts(5))] == [0, 1, 6, 7]
    assert footage.missing == (f"{folder / 'frame_20.png'}: is 80x64, most are 96x64",)
    for start in (0, 1, 6, 7):
        excerpt = read_excerpt(footage, start, 5, 1)
        assert excerpt is not None and np.array_equal(excerpt, np.stack(frames[start : start + 5]))


def test_no_excerpt_of_a_folder_holds_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "frames", [picture(index, 96, 64) for index in range(12)])
    for number in (0, 5):
        (folder / f"frame_{number + 8}.png").write_bytes(b"no image")
    footage = open_frames(folder)
    assert (footage.width, footage.height, footage.shots) == (96, 64, ((1, 5), (6, 12)))
    assert [re.sub(r".*/(frame_\d+).*", r"\1", line) for line in footage.missing] == ["frame_8", "frame_13"]
    for file in folder.iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(VidpercError, match=r"frame_8\.png"):
        open_frames(folder)


@pytest.mark.parametrize("content", [b"", b"no video at all"])
def test_a_file_that_is_no_video_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "no.mp4").write_bytes(content)
    with pytest.raises(VidpercError, match=r"no\.mp4"):
        open_video(tmp_path / "no.mp4")
