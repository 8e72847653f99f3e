"""Fields that no mark tells: found in woven and telecined video, never in pictures that are whole."""

import shutil
import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.clips import NO_TEST_DATA, TEST_DATA, make_clip, real_videos
from vidperc.errors import VidpercError
from vidperc.video.index import index_frames
from vidperc.video.probe import probe
from vidperc.video.weaving import Look, combing, look_for_fields, verdict

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg weaves the fields")


def told(path):
    return look_for_fields(path, probe(path), index_frames(path)).says


def woven(name, path, how):
    """A real clip as fields, or telecined, coded as if its frames were whole."""
    if TEST_DATA is None:
        pytest.skip(NO_TEST_DATA)
    command = ["ffmpeg", "-v", "error", "-t", "6", "-i", str(TEST_DATA / "videos/real" / name), "-an"]
    subprocess.run([*command, "-vf", f"{how},setfield=prog", "-preset", "ultrafast", str(path)], check=True)
    assert not probe(path).interlaced
    return path


@needs_ffmpeg
@pytest.mark.parametrize("name", ["bikes_272p_scenecuts.mp4", "friday_480p_bw_cc0.mp4", "sam2_bedroom_540p.mp4"])
@pytest.mark.parametrize("first", ["top", "bottom"])
def test_woven_fields_are_found_and_their_order(name, first, tmp_path):
    path = woven(name, tmp_path / "in.mp4", f"tinterlace=interleave_{first}")
    assert told(path) == f"looks interlaced, {first} field first, although it is not marked so"


@needs_ffmpeg
@pytest.mark.parametrize("name", ["bikes_272p_scenecuts.mp4", "friday_480p_bw_cc0.mp4", "sam2_bedroom_540p.mp4"])
def test_telecine_is_found(name, tmp_path):
    assert told(woven(name, tmp_path / "in.mp4", "telecine")).startswith("looks like film telecined")


@pytest.mark.parametrize("path", real_videos("real", "awkward", "synthetic", max_bytes=1_000_000))
def test_pictures_that_are_whole_are_never_taken_for_fields(path):
    try:
        found = told(path)
    except VidpercError:
        pytest.skip("no video")
    assert ("interlaced" in found) == path.name.startswith("interlaced")
    assert "telecined" not in found


@pytest.mark.parametrize("speed", [1, 3])
@pytest.mark.parametrize("texture", ["grain", "letters", "stripes"])
def test_fine_textures_that_scroll_are_not_fields(texture, speed, tmp_path):
    """Their lines differ as much as combs do; only the order in time tells them apart."""
    chance = np.random.default_rng(5)
    tall = {
        "grain": chance.integers(0, 256, (360, 160)),
        "letters": 20 + 220 * np.kron(chance.integers(0, 2, (180, 80)), np.ones((2, 2), int)),
        "stripes": 230 * (np.arange(360)[:, None] % 2) * np.ones((1, 160), int),
    }[texture].astype(np.uint8)
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "gray"
        for index in range(40):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(tall[index * speed :][:120]), "gray")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert told(path) == ""


def test_a_still_picture_and_a_short_one_say_nothing(tmp_path):
    assert told(make_clip(tmp_path / "short.mp4", frames=2)) == ""
    assert told(make_clip(tmp_path / "tiny.mkv", frames=12, size=(16, 2), codec="ffv1")) == ""


def test_combs_are_larger_steps_than_textures():
    y, x = np.mgrid[0:64, 0:96]
    pictures = [(128 + 60 * np.sin((x + 9 * time) / 5) * np.cos(y / 9)).astype(np.int16) for time in range(3)]
    both = pictures[1].copy()
    both[1::2] = pictures[2][1::2]
    assert combing(pictures[1], pictures[0]) < 0.7 < 0.85 < combing(both, pictures[0])
    assert combing(pictures[1], pictures[1]) == 0.0


@pytest.mark.parametrize(
    ("orders", "combed", "found"),
    [
        ("tttttttttttt", 1.2, "top"),
        ("bbbbbbbbbbbb", 1.2, "bottom"),
        ("tttttttttttt", 0.6, ""),  # drawn pictures whose lines move up
        ("ttttttbbbbbb", 1.2, ""),
        ("tttppppppppp", 1.2, ""),
        ("pttttpttttpp", 1.2, "telecined"),
        ("pttptptttptp", 1.2, ""),
        ("uuuuuuuuuuuu", 0.0, ""),
    ],
)
def test_what_frames_say_together(orders, combed, found):
    said = verdict([[Look(order, combed, False) for order in orders]])
    assert found in said
    assert bool(said) == bool(found)


def test_frames_that_say_it_are_believed_if_the_first_does_not():
    said = verdict([[Look("p", 0.4, number > 0) for number in range(12)]])
    assert said == "is interlaced, as 11 of 12 frames say, if not the first"
