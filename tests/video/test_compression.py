"""How much compression shows: what decides between networks for clean and for compressed video."""

import numpy as np
import pytest

from tests.clips import make_clip
from vidperc.video.compression import ENOUGH_BITS, Compression, blockiness, look_at_compression
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


def test_a_quantiser_says_more_than_bits():
    """Print of few colours needs few bits, and soft pictures too; a coarse quantiser leaves traces in any."""
    assert not Compression("h264", 0.01, 1.0, quantiser=18.0).shows
    assert Compression("h264", 0.5, 1.0, quantiser=28.0).shows
    assert Compression("h264", 0.5, 1.4, quantiser=18.0).shows, "blocks of a codec before this one"
    assert Compression("hevc", 0.01, 1.0, quantiser=18.0).shows, "nothing is known of its scale"


@pytest.mark.parametrize(
    ("codec", "options", "wanted"),
    [
        ("libx264", {"qp": "31", "x264-params": "aq-mode=0"}, 31),
        ("mpeg4", {"qmin": "5", "qmax": "5"}, 10),
        ("libvpx-vp9", {"crf": "40", "qmin": "40", "qmax": "40", "b": "0"}, 160),  # four of 255 to each of its 63 steps
        ("libx265", {"crf": "30", "x265-params": "log-level=error"}, None),
    ],
)
def test_the_quantiser_is_that_of_the_encoder(codec, options, wanted, tmp_path):
    path = make_clip(tmp_path / "clip.mkv", frames=12, size=(192, 128), codec=codec, options=options)
    found = look_at_compression(path, probe(path), index_frames(path)).quantiser
    # I frames are coded a little finer than P frames.
    assert found == (None if wanted is None else pytest.approx(wanted, abs=3.1))


def test_a_quantiser_means_the_same_at_any_depth(tmp_path):
    found = []
    for pix_fmt in ("yuv420p", "yuv420p10le"):
        path = make_clip(
            tmp_path / f"{pix_fmt}.mkv", frames=12, size=(192, 128), pix_fmt=pix_fmt, options={"crf": "20"}
        )
        found.append(look_at_compression(path, probe(path), index_frames(path)).quantiser)
    assert found[0] == pytest.approx(found[1], abs=1)


def test_a_file_is_looked_at(tmp_path):
    found = {}
    for crf in ("10", "45"):
        path = make_clip(tmp_path / f"{crf}.mp4", frames=30, size=(192, 128), options={"crf": crf})
        found[crf] = look_at_compression(path, probe(path), index_frames(path))
    assert not found["10"].shows and found["45"].shows
    assert str(found["45"]).startswith("h264 at 0.0")


def test_a_codec_is_known_by_its_own_name_whatever_decodes_it(tmp_path):
    path = make_clip(tmp_path / "clip.mkv", frames=8, codec="libsvtav1", options={"preset": "12", "crf": "30"})
    info = probe(path)
    assert info.codec == info.streams[0].codec == "av1"
    assert look_at_compression(path, info, index_frames(path)).codec in ENOUGH_BITS
