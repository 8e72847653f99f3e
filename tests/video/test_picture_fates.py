"""What is said of a picture's container and chroma, for sources whose names or formats mislead."""

from pathlib import Path

import pytest
from PIL import Image

from tests.clips import picture
from vidperc.video.encoder_settings import EncoderSettings
from vidperc.video.picture_fates import container_fate, picture_fates
from vidperc.video.probe import probe


@pytest.mark.parametrize("name", ["in.png", "in.apng"])
def test_an_animated_png_is_told_from_png_which_is_written(name, tmp_path):
    first, *others = (Image.fromarray(picture(index, 64, 48)) for index in range(3))
    first.save(tmp_path / name, "PNG", save_all=True, append_images=others)
    (fate,) = container_fate(probe(tmp_path / name), Path("out.mkv"), asked=False, codec="libx264")
    assert fate.reason == "animated PNG to matroska, which holds most; animated PNG is not written"


def test_y4m_is_not_said_to_be_unwritten(tmp_path):
    (tmp_path / "in.y4m").write_bytes(b"YUV4MPEG2 W16 H16 F25:1 Ip C420\nFRAME\n" + bytes(384))
    (fate,) = container_fate(probe(tmp_path / "in.y4m"), Path("out.mkv"), asked=False, codec="libx264")
    assert fate.reason == ".y4m to matroska, which holds most; -o with a name in .y4m keeps it"


@pytest.mark.parametrize(("mode", "outcome"), [("LA", "kept"), ("RGBA", "converted")])
def test_grey_with_transparency_is_not_taken_for_rgb(mode, outcome, tmp_path):
    Image.fromarray(picture(0, 64, 48)).convert(mode).save(tmp_path / "in.png")
    encoder = EncoderSettings(codec="libvpx-vp9", pix_fmt="yuva420p", options={}, threads=1)
    fates = {fate.field: fate for fate in picture_fates(probe(tmp_path / "in.png"), encoder, Path("out.webm"))}
    assert (fates["chroma"].outcome, fates["transparency"].outcome) == (outcome, "kept")
