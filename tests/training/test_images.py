from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vidperc.errors import VidpercError
from vidperc.training.images import Pair, draw, make_pairs, read_images, shrink
from vidperc.video.stills import read_still


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(image).save(path)


def test_images_come_as_rgb_in_the_order_of_folders_and_names(tmp_path: Path) -> None:
    save(tmp_path / "one" / "b.png", noise(4, 5, 1))
    save(tmp_path / "one" / "a.PNG", noise(6, 3, 2)[..., 0])  # grey
    save(tmp_path / "two" / "a.png", noise(2, 2, 3))
    (tmp_path / "one" / "notes.txt").write_text("no image")
    images = read_images([tmp_path / "two", tmp_path / "one"])
    assert [image.shape for image in images] == [(2, 2, 3), (6, 3, 3), (4, 5, 3)]
    assert (images[0] == noise(2, 2, 3)).all()
    assert (images[1] == noise(6, 3, 2)[..., :1]).all()


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VidpercError, match=r"got no images, wanted a folder of \.png, \.jpg, \.jpeg files"):
        read_images([tmp_path])
    with pytest.raises(VidpercError, match="absent: got no such folder"):
        read_images([tmp_path / "absent"])


@pytest.mark.parametrize("place", [20, -16])
def test_any_damage_of_a_png_is_one_line(tmp_path: Path, place: int) -> None:
    """A header that ends early, and a chunk of another kind: what Pillow raises for these is no OSError."""
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content = content[:place] if place > 0 else content[: content.rindex(b"IDAT")] + b"\xc9DAT" + content[-12:]
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(VidpercError, match=r"a\.png: cannot be read as an image"):
        read_still(tmp_path / "a.png")


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    save(tmp_path / "cut.png", noise(64, 64))
    whole = (tmp_path / "cut.png").read_bytes()
    for content in (b"nothing", whole[: len(whole) // 2]):
        (tmp_path / "cut.png").write_bytes(content)
        with pytest.raises(VidpercError, match=r"cut\.png: cannot be read as an image") as refused:
            read_images([tmp_path])
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("scale", [2, 4])
def test_a_pair_is_an_image_and_its_bicubic(scale: int) -> None:
    image = noise(43, 50)
    (pair,) = make_pairs([image], scale=scale, sizes=(1,), patch=8)
    height, width = 43 // scale * scale, 50 // scale * scale
    assert (pair.large == image[:height, :width]).all()
    assert (pair.small == shrink(pair.large.copy(), height // scale, width // scale)).all()


def test_every_size_makes_a_pair_that_a_crop_fits_in() -> None:
    pairs = make_pairs([noise(40, 60), noise(90, 30)], scale=2, sizes=(1, 0.6, 0.1), patch=12)
    assert [pair.large.shape for pair in pairs] == [(40, 60, 3), (24, 36, 3), (90, 30, 3)]
    assert [pair.small.shape for pair in pairs] == [(20, 30, 3), (12, 18, 3), (45, 15, 3)]


def test_shrinking_a_flat_picture_changes_nothing() -> None:
    assert (shrink(np.full((20, 30, 3), 77, np.uint8), 7, 9) == 77).all()


def repeated(height: int, width: int, scale: int, seed: int = 0) -> Pair:
    """A pair whose small pixels are the large one's blocks, however it is turned."""
    small = noise(height, width, seed)
    return Pair(small.repeat(scale, 0).repeat(scale, 1), small)


@pytest.mark.parametrize("scale", [2, 3])
def test_small_and_large_crops_show_the_same_place(scale: int) -> None:
    pairs = [repeated(20, 31, scale, 1), repeated(40, 12, scale, 2)]
    small, large = draw(pairs, range(24), scale=scale, patch=9, seed=0)
    assert small.shape == (24, 3, 9, 9)
    assert large.shape == (24, 3, 9 * scale, 9 * scale)
    assert small.dtype == large.dtype == torch.float32
    assert torch.equal(large, small.repeat_interleave(scale, 2).repeat_interleave(scale, 3))


def test_crops_are_turned_and_mirrored_in_all_eight_ways() -> None:
    pair = repeated(8, 8, 1)
    small, _ = draw([pair], range(200), scale=1, patch=8, seed=0)
    ways = Counter(crop.numpy().tobytes() for crop in small)
    assert len(ways) == 8
    assert min(ways.values()) > 10


def test_crops_come_from_every_part_of_an_image() -> None:
    place = np.zeros((20, 30, 3), np.uint8)
    place[..., 0], place[..., 1] = np.mgrid[:20, :30]
    small, _ = draw([Pair(place, place)], range(2000), scale=1, patch=4, seed=0)
    rows, columns = (255 * small[:, :2]).round().long().amin(dim=(2, 3)).T
    assert set(rows.tolist()) == set(range(17))
    assert set(columns.tolist()) == set(range(27))


def test_larger_images_are_drawn_from_more_often() -> None:
    dark, light = np.zeros((16, 16, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)
    small, _ = draw([Pair(dark, dark), Pair(light, light)], range(2000), scale=1, patch=4, seed=0)
    # Four times the side, four times as often: 0.8, give or take three standard deviations.
    assert float(small.mean()) == pytest.approx(0.8, abs=0.03)


def test_a_crop_depends_on_its_number_alone() -> None:
    pairs = [repeated(20, 31, 2), repeated(16, 16, 2, 1)]

    def crops(numbers: range, seed: int = 0) -> torch.Tensor:
        return draw(pairs, numbers, scale=2, patch=8, seed=seed)[0]

    together = crops(range(20, 28))
    assert torch.equal(together, torch.cat([crops(range(20, 23)), crops(range(23, 28))]))
    assert len({crop.numpy().tobytes() for crop in together}) == 8
    assert not torch.equal(together, crops(range(20, 28), seed=1))


def test_the_crops_of_a_seed_and_number_never_change() -> None:
    """Or a training that goes on from its checkpoint would not be the one that was interrupted."""
    ramp = (np.arange(40 * 60 * 3) * 7 % 251).astype(np.uint8).reshape(40, 60, 3)
    pairs = [Pair(ramp, ramp[::2, ::2]), Pair(ramp[:30], ramp[:30:2, ::2])]
    small, large = draw(pairs, range(12345, 12351), scale=2, patch=8, seed=3)
    codes = [(255 * crops).round().to(torch.uint8).numpy().tobytes() for crops in (small, large)]
    assert hashlib.sha256(b"".join(codes)).hexdigest()[:16] == "e647d3c6f6b5475d"
