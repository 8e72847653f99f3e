from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from vidperc.motion.estimator import open_estimator
from vidperc.motion.find import find_motion
from vidperc.ops.warp import warp
from vidperc.training.clips import Filmed, Layer, film_over
from vidperc.training.degrade import Degradation, degrade
from vidperc.training.exact_motion import exact_motion

SIDE = 128


def image(seed: int, sigma: float) -> np.ndarray:
    """(400,500,3) uint8."""
    chance = np.random.default_rng(seed).normal(0, 1, (400, 500, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(chance, (0, 0), sigma)
    return (128 + 45 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


def filmed(seed: int, scale: int, size: float, often: float) -> Filmed:
    """Of images that are smooth enough, at the small size, for a warp to resample them as well as a camera does."""
    background, *passing = (image(number, 2 * scale / size) for number in (seed, seed + 50, seed + 90))
    chance = np.random.default_rng(seed)
    return film_over(background, passing, chance, frames=6, side=SIDE, size=size, often=often)


def small(clip: Filmed, scale: int) -> torch.Tensor:
    left = degrade(clip.pixels, Degradation(), scale=scale, chance=np.random.default_rng(0))
    return torch.from_numpy(left).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("size", [1, 0.7, 0.5])
@pytest.mark.parametrize("often", [0.0, 1.0])
def test_the_frame_before_warped_by_it_is_the_frame_where_visible(scale: int, size: float, often: float) -> None:
    moved = 0
    for seed in range(6):
        clip = filmed(seed, scale, size, often)
        frames, motion = small(clip, scale), exact_motion(clip, SIDE // scale)
        assert not motion.flow[0].any() and not motion.visible[0].any()
        visible = motion.visible[1:]
        assert visible.mean() > 0.4
        error = (warp(frames[:-1], motion.flow[1:], mode="bicubic") - frames[1:]).abs() * visible
        aside = (warp(frames[:-1], motion.flow[1:] + 0.3, mode="bicubic") - frames[1:]).abs() * visible
        # Rounding to 8 bits twice, and what resampling takes; no pixel is from elsewhere.
        assert error.sum() / (3 * visible.sum()) < 1.2
        assert error.max() < 20
        assert aside.sum() > 1.9 * error.sum()
        moved += bool((motion.flow.abs() > 0.2).any())
    assert moved >= 2


def test_what_a_layer_uncovers_is_hidden_and_what_it_carries_along_is_not() -> None:
    """A square of 40 pixels goes 8 to the right before a camera at rest; at half the size it is 20, and goes 4."""
    still = np.broadcast_to(np.array([[1.0, 0, 0], [0, 1, 0]]), (2, 2, 3))
    layer = Layer(np.full((40, 40), 255, np.uint8), np.array([[20, 30], [28, 30]]))
    clip = Filmed(np.zeros((2, 96, 96, 3), np.uint8), 96, still, (layer,))
    motion = exact_motion(clip, 48)
    inside = np.zeros((48, 48), bool)
    inside[15:35, 14:34] = True
    assert (motion.flow[1, 0].numpy() == np.where(inside, -4, 0)).all()
    assert not motion.flow[1, 1].any()
    visible = motion.visible[1, 0].numpy().astype(bool)
    assert not visible[15:35, 10:14].any()  # just uncovered
    assert visible[17:33, 16:32].all()  # the layer itself, away from its edge
    assert visible[:, :8].all() and visible[:13].all() and visible[:, 37:].all()


def test_what_comes_into_the_frame_is_not_visible_before() -> None:
    views = np.array([[[1.0, 0, 0], [0, 1, 0]], [[1.0, 0, 6], [0, 1, 0]]])  # the camera goes right by 6
    motion = exact_motion(Filmed(np.zeros((2, 64, 64, 3), np.uint8), 64, views, ()), 32)
    assert torch.equal(motion.flow[1], torch.tensor([3.0, 0.0])[:, None, None].expand(2, 32, 32))
    assert (motion.visible[1, 0] == (torch.arange(32) <= 28)).all()


def test_dense_inverse_search_finds_the_same() -> None:
    estimator = open_estimator("dis")
    medians = []
    for seed in range(6):
        clip = filmed(seed, 2, 0.6, 0.5)
        exact = exact_motion(clip, SIDE // 2)
        (found,) = find_motion([(small(clip, 2) / 255, 0)], estimator)
        both = (exact.visible * found.visible)[:, 0] > 0
        medians.append(float((found.flow - exact.flow).norm(dim=1)[both].median()))
    assert max(medians) < 0.5
    assert np.median(medians) < 0.2
