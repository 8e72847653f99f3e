"""Degraded pairs: what they are aligned to, what they depend on, and that every step does something."""

from pathlib import Path

import numpy as np
import pytest

from tests.clips import make_clip
from vidperc.errors import VidpercError
from vidperc.training.clips import film, read_runs
from vidperc.training.degrade import (
    Degradation,
    degrade,
    draw_degradation,
    h264,
    load_pairs,
    make_degraded_pairs,
    mpeg,
    save_pairs,
)
from vidperc.training.images import shrink

SIDE = 96


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(height,width,3) uint8 with detail at many sizes, of which only the coarse has colour."""
    chance = np.random.default_rng(seed)
    image = np.zeros((height, width, 3))
    for cell in (1, 2, 4, 8, 32):
        coarse = chance.normal(0, 14, (-(-height // cell), -(-width // cell), 1 if cell < 8 else 3))
        image += np.kron(coarse, np.ones((cell, cell, 1)))[:height, :width]
    return (128 + image).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return [texture(240, 320), texture(200, 200, 1)]


@pytest.fixture(scope="module")
def clip(images) -> np.ndarray:
    return film(images, np.random.default_rng(5), frames=8, side=SIDE, size=1)


def degraded(clip: np.ndarray, how: Degradation, scale: int = 2) -> np.ndarray:
    return degrade(clip, how, scale=scale, chance=np.random.default_rng(0))


def shift(one: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """Where the cross-correlation of two grey pictures (h,w) has its peak: rows and columns."""
    spectra = [np.fft.fft2(picture - picture.mean()) for picture in (one, other)]
    peak = np.fft.ifft2(spectra[0] * spectra[1].conj()).real
    rows, columns = np.unravel_index(peak.argmax(), peak.shape)
    height, width = peak.shape
    return (int(rows) + height // 2) % height - height // 2, (int(columns) + width // 2) % width - width // 2


@pytest.mark.parametrize("scale", [2, 4])
def test_without_degradation_a_small_frame_is_the_shrunk_large_one(clip, scale):
    small = degraded(clip, Degradation(), scale)
    assert small.dtype == np.uint8
    for frame, left in zip(clip, small, strict=True):
        expected = shrink(frame, SIDE // scale, SIDE // scale).astype(int)
        assert np.abs(left - expected).max() <= 1  # halves may be rounded the other way
        assert (left == expected).mean() > 0.999


@pytest.mark.parametrize("kernel", ["bicubic", "bilinear", "area"])
@pytest.mark.parametrize(
    "encoder", [None, h264(crf=30, preset="veryfast"), mpeg("mpeg4", quantiser=8), mpeg("mpeg2video", quantiser=6)]
)
def test_every_kernel_and_encoder_leaves_the_picture_where_it_was(clip, kernel, encoder):
    small = degraded(clip, Degradation(blur=0.8, kernel=kernel, noise=2, encoder=encoder))
    for frame, left in zip(clip, small, strict=True):
        expected = shrink(frame, SIDE // 2, SIDE // 2)
        for channel in range(3):
            # Enlarged by repeating, a shift by one pixel of the large frame would be seen as well.
            one, other = (np.kron(picture[..., channel].astype(float), np.ones((2, 2))) for picture in (left, expected))
            assert shift(one, other) == (0, 0)


def test_frames_keep_their_order_through_an_encoder_with_b_frames(clip):
    pan = np.stack([np.roll(clip[0], 4 * step, axis=1) for step in range(8)])
    small = degraded(pan, Degradation(encoder=h264(crf=20)))
    error = np.abs(small[:, None].astype(float) - degraded(pan, Degradation())[None]).mean(axis=(2, 3, 4))  # (8, 8)
    assert error.argmin(axis=1).tolist() == list(range(8))


@pytest.mark.parametrize(
    ("milder", "stronger"),
    [
        (Degradation(), Degradation(noise=1)),
        (Degradation(noise=1), Degradation(noise=4)),
        (Degradation(jpeg=95), Degradation(jpeg=55)),
        (Degradation(encoder=h264(crf=17)), Degradation(encoder=h264(crf=35))),
        (Degradation(encoder=mpeg("mpeg4", quantiser=2)), Degradation(encoder=mpeg("mpeg4", quantiser=14))),
        (Degradation(encoder=mpeg("mpeg2video", quantiser=2)), Degradation(encoder=mpeg("mpeg2video", quantiser=14))),
        (Degradation(blur=0.4), Degradation(blur=1.1)),
    ],
)
def test_stronger_settings_take_more_away(clip, milder, stronger):
    clean = degraded(clip, Degradation()).astype(float)
    lost = [np.abs(degraded(clip, how) - clean).mean() for how in (milder, stronger)]
    assert lost[1] > lost[0] + 0.3


def test_grey_noise_keeps_grey_grey():
    grey = np.full((2, 32, 32, 3), 128, np.uint8)
    small = degraded(grey, Degradation(noise=4, grey_noise=True))
    assert small.std() > 2
    assert (small == small[..., :1]).all()


def test_drawn_degradations_cover_every_step():
    chance = np.random.default_rng(0)
    drawn = [draw_degradation(chance, scale=2) for _ in range(200)]
    codecs = {how.encoder.codec if how.encoder else None for how in drawn}
    assert codecs == {"libx264", "mpeg4", "mpeg2video", None}
    assert {how.kernel for how in drawn} == {"bicubic", "bilinear", "area"}
    assert 0 < sum(how.jpeg is not None for how in drawn) < 50
    assert max(how.blur for how in drawn) <= 1.1 and max(how.noise for how in drawn) <= 5
    assert any(how.blur == 0 for how in drawn) and any(how.noise == 0 for how in drawn)


def test_a_panning_camera_shows_pixels_of_the_image_itself():
    image = texture(160, 160)
    windows = np.lib.stride_tricks.sliding_window_view(image, (32, 32), axis=(0, 1))  # (129, 129, 3, 32, 32)
    seen = {window.tobytes() for row in windows for window in row}
    clips = [film([image], np.random.default_rng(seed), frames=8, side=32, size=1) for seed in range(20)]
    exact = [all(frame.transpose(2, 0, 1).tobytes() in seen for frame in clip) for clip in clips]
    assert sum(exact) > 10  # something passes before the others
    assert len({clip[0].tobytes() == clip[-1].tobytes() for clip in clips}) == 2  # some move, some do not


def test_a_camera_stays_inside_an_image_as_small_as_its_picture():
    image = np.full((64, 64, 3), 200, np.uint8)
    for seed in range(20):
        for size in (1, 0.9, 0.6):
            clip = film([image], np.random.default_rng(seed), frames=8, side=40, size=size)
            assert clip.shape == (8, 40, 40, 3)
            assert (clip == 200).all()  # outside is black


def test_the_same_seed_gives_the_same_pairs_with_any_number_of_workers(images):
    asked = {"scale": 2, "count": 7, "side": SIDE}
    one = make_degraded_pairs(images, seed=3, workers=1, **asked)
    two = make_degraded_pairs(images, seed=3, workers=3, **asked)
    other = make_degraded_pairs(images, seed=4, **asked)
    assert len(one) == len(two) == 7
    for a, b in zip(one, two, strict=True):
        assert a.large.shape == (SIDE, SIDE, 3) and a.small.shape == (SIDE // 2, SIDE // 2, 3)
        assert a.large.dtype == a.small.dtype == np.uint8
        assert (a.large == b.large).all() and (a.small == b.small).all()
    assert any((a.large != b.large).any() for a, b in zip(one, other, strict=True))


def test_pairs_are_of_the_same_moment(images):
    for pair in make_degraded_pairs(images, scale=2, count=20, seed=1, side=SIDE):
        expected = shrink(pair.large, SIDE // 2, SIDE // 2)
        assert shift(*(picture.mean(axis=2) for picture in (pair.small, expected))) == (0, 0)


def test_runs_of_a_real_video_become_pairs_too(images, tmp_path):
    video = make_clip(tmp_path / "a.mp4", frames=40, size=(240, 200))
    runs = read_runs(video, runs=3, frames=10)
    assert [run.shape for run in runs] == [(10, 100, 120, 3)] * 3
    assert read_runs(video, runs=3, frames=50) == []
    pairs = make_degraded_pairs(images, scale=2, count=4, seed=0, side=SIDE, runs=runs, share_of_runs=1)
    views = [
        np.lib.stride_tricks.sliding_window_view(frame, (SIDE, SIDE), axis=(0, 1)) for run in runs for frame in run
    ]
    for pair in pairs:
        assert any((view == pair.large.transpose(2, 0, 1)).all(axis=(2, 3, 4)).any() for view in views)


def test_sides_and_images_that_do_not_fit_are_refused(images):
    with pytest.raises(ValueError, match="multiple of 4"):
        make_degraded_pairs(images, scale=2, count=1, seed=0, side=98)
    with pytest.raises(VidpercError, match="no image of 400x400"):
        make_degraded_pairs(images, scale=2, count=1, seed=0, side=400)
    with pytest.raises(VidpercError, match="no run of 96x96"):
        make_degraded_pairs(images, scale=2, count=1, seed=0, side=96, runs=[np.zeros((8, 50, 50, 3), np.uint8)])


def test_saved_pairs_come_back(images, tmp_path: Path):
    pairs = make_degraded_pairs(images, scale=4, count=3, seed=0, side=SIDE)
    save_pairs(pairs, tmp_path / "new" / "pairs.safetensors")
    found = load_pairs(tmp_path / "new" / "pairs.safetensors")
    for a, b in zip(pairs, found, strict=True):
        assert (a.large == b.large).all() and (a.small == b.small).all()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["pairs.safetensors"]


def test_a_file_without_pairs_is_refused_in_one_line(tmp_path: Path):
    broken = tmp_path / "pairs.safetensors"
    broken.write_bytes(b"nothing")
    for path in (broken, tmp_path / "absent.safetensors"):
        with pytest.raises(VidpercError, match="holds no pairs"):
            load_pairs(path)
