from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from vidperc.metrics.psnr import psnr_y601
from vidperc.ops.resize import resize
from vidperc.report.pictures import Pixels, png_uri, strip, walk


def picture(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def read(uri: str) -> Pixels:
    kind, data = uri.split(",")
    assert kind == "data:image/png;base64"
    return np.array(Image.open(io.BytesIO(base64.b64decode(data, validate=True))))


def test_a_png_uri_is_the_picture() -> None:
    shown = picture(7, 11)
    assert np.array_equal(read(png_uri(shown)), shown)
    assert np.array_equal(read(png_uri(shown[:, ::-1])), shown[:, ::-1])


def test_a_strip_shows_the_part_in_which_bicubic_lacks_most() -> None:
    small = np.full((20, 30, 3), 90, np.uint8)
    true = np.full((40, 60, 3), 90, np.uint8)
    true[24:32, 36:44] = picture(8, 8)
    made = true.copy()
    made[24:32, 36:44] //= 2
    found = strip("patch", small, made, true, side=8)
    assert found.side == 8
    assert np.array_equal(read(found.truth.uri), true[24:32, 36:44])
    assert np.array_equal(read(found.made.uri), made[24:32, 36:44])
    assert np.array_equal(read(found.given.uri), np.full((8, 8, 3), 90, np.uint8))


def test_the_notes_are_the_psnr_of_whole_pictures() -> None:
    small, made, true = picture(12, 16), picture(24, 32, 1), picture(24, 32, 2)
    found = strip("noise", small, made, true, side=8)

    def frame(pixels: Pixels) -> torch.Tensor:
        return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255

    enlarged = resize(frame(small), (24, 32), "bicubic")
    assert found.given.note == f"{float(psnr_y601(enlarged, frame(true), crop=2)):.2f} dB"
    assert found.made.note == f"{float(psnr_y601(frame(made), frame(true), crop=2)):.2f} dB"
    assert strip("same", small, true, true, side=8).made.note == "no difference"


def test_a_small_picture_is_shown_whole() -> None:
    true = picture(8, 12)
    found = strip("small", picture(4, 6), true, true, side=64)
    assert found.side == 8
    assert read(found.truth.uri).shape == (8, 8, 3)


def test_sizes_that_do_not_fit_are_refused() -> None:
    for small, made, true in [((4, 6), (8, 12), (8, 11)), ((4, 6), (8, 11), (8, 11)), ((4, 6), (8, 10), (8, 12))]:
        with pytest.raises(ValueError, match="odd: got"):
            strip("odd", picture(*small), picture(*made), picture(*true), side=4)


def test_a_walk_shows_the_part_in_which_its_ends_differ_most() -> None:
    small, true = np.full((20, 30, 3), 90, np.uint8), np.full((40, 60, 3), 90, np.uint8)
    first, last = true.copy(), true.copy()
    last[24:32, 36:44] = picture(8, 8)
    between = true.copy()
    between[:8, :8] = 0
    found = walk("patch", small, {"0": first, "0.5": between, "1": last}, true, side=8)
    assert (found.title, found.side, list(found.shown)) == ("patch", 8, ["bicubic", "0", "0.5", "1", "truth"])
    assert np.array_equal(read(found.shown["1"].uri), last[24:32, 36:44])
    assert np.array_equal(read(found.shown["0.5"].uri), true[24:32, 36:44])
    notes = [shown.note for shown in found.shown.values()]
    assert notes[:2] == ["no difference", "no difference"] and notes[-1] == "original"
    assert notes[3].endswith(" dB")


def test_a_walk_of_pictures_of_other_sizes_is_refused() -> None:
    with pytest.raises(ValueError, match="patch: got"):
        walk("patch", picture(8, 8), {"0": picture(16, 16), "1": picture(16, 18)}, picture(16, 16), side=4)
