"""How much compression shows: what decides between networks for clean and for compressed video."""

import numpy as np
import pytest

from tests.clips import make_clip
from vidperc.video.compression import Compression, blockiness, look_at_compression
from vidperc.video.index import index_frames
from vidperc.video.probe import probe


def picture(height=96, width=128):
    chance = np.random.default_rng(0)
    smooth = np.add.outer(np.linspace(40, 120, height), np.linspace(0, 60, width))
    return smooth + chance.normal(0, 1.5, (height, width))


def test_a_picture_without_blocks_has_a_blockiness_of_one():
    assert blockiness(picture().astype(np.uint8)) == pytest.approx(1, abs=0.1)
    assert blockiness(np.full((96, 128), 77, np.uint8)) == 1


def test_blocks_show_and_shifted_ones_do_not_count():
    steps = np.kron(np.random.default_rng(1).integers(-4, 5, (12, 16)), np.ones((8, 8)))
    blocky = (picture() + steps).astype(np.uint8)
    assert blockiness(blocky) > 1.5
    assert blockiness(np.ascontiguousarray(blocky[3:, 3:])) < 1


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (200, 5)])
def test_small_pictures_are_looked_at_too(shape):
    assert blockiness(np.zeros(shape, np.uint8)) > 0


def test_few_bits_or_visible_blocks_say_compressed():
    assert Compression("h264", 0.05, 1.0).shows and Compression("h264", 0.5, 1.4).shows
    assert not Compression("h264", 0.5, 1.0).shows
    assert not Compression("ffv1", 0.01, 3.0).shows, "a lossless codec keeps what it was given"
    assert Compression("mpeg4", 0.2, 1.0).shows, "older codecs need more"
    assert not Compression("h264", None, 1.0).shows


def test_a_file_is_looked_at(tmp_path):
    found = {}
    for crf in ("10", "45"):
        path = make_clip(tmp_path / f"{crf}.mp4", frames=30, size=(192, 128), options={"crf": crf})
        found[crf] = look_at_compression(path, probe(path), index_frames(path))
    assert not found["10"].shows and found["45"].shows
    assert str(found["45"]).startswith("h264 at 0.0")
