from __future__ import annotations

import cv2
import numpy as np

from vidperc.training.worth import worth


def texture(seed: int = 0, side: int = 96) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 1, (side, side + 8, 3)).astype(np.float32)
    fine = cv2.GaussianBlur(noise, (0, 0), 1)
    return (128 + 40 * fine / fine.std()).clip(0, 255).astype(np.uint8)


def panned(image: np.ndarray, step: int = 1, frames: int = 5) -> np.ndarray:
    return np.stack([image[:, step * time : step * time + 96] for time in range(frames)])


def test_texture_that_moves_is_worth_learning_from() -> None:
    for scale in (2, 4):
        found = worth(panned(texture()), scale)
        assert found.fault == ""
        assert found.detail > 10 and found.lost > 4 and found.moved > 2


def test_more_is_lost_at_a_larger_scale() -> None:
    assert worth(panned(texture()), 4).lost > 1.3 * worth(panned(texture()), 2).lost


def test_a_wall_is_flat() -> None:
    assert worth(panned(np.full((96, 104, 3), 90, np.uint8)), 2).fault == "flat"


def test_what_is_out_of_focus_is_soft() -> None:
    wave = 128 + 100 * np.sin(np.arange(104) / 8)
    smooth = np.broadcast_to(wave[None, :, None], (96, 104, 3)).round().astype(np.uint8)
    found = worth(panned(smooth), 2)
    assert found.detail > 2.5
    assert found.fault == "soft"


def test_what_rests_is_still_for_all_its_noise() -> None:
    rest = panned(texture(), step=0)
    assert worth(rest, 2).fault == "still"
    noise = np.random.default_rng(1).normal(0, 3, rest.shape)
    assert worth((rest + noise).clip(0, 255).astype(np.uint8), 2).fault == "still"


def test_one_frame_that_differs_is_movement() -> None:
    clip = panned(texture(), step=0)
    clip[3:, :48] = 255 - clip[3:, :48]
    assert worth(clip, 2).fault == ""
