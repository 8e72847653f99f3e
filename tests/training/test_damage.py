from __future__ import annotations

import numpy as np
import pytest

from vidperc.training.clips import ClipPixels
from vidperc.training.damage import DAMAGES


def clip_of(frames: int = 16) -> ClipPixels:
    """A smooth picture that moves one pixel a frame, no two frames alike."""
    rows, columns = np.mgrid[0:40, 0:64]
    frame = 128 + 60 * np.sin(rows / 5) + 60 * np.cos(columns / 7)
    moving = np.stack([np.roll(frame, shift, axis=1) for shift in range(frames)])
    return np.repeat(moving[..., None], 3, axis=3).clip(0, 255).astype(np.uint8)


def damaged(kind: str, strength: float, seed: int = 0) -> ClipPixels:
    return DAMAGES[kind](clip_of(), strength, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_clip_is_another_one_of_the_same_shape(kind: str) -> None:
    clip = clip_of()
    before = clip.copy()
    found = DAMAGES[kind](clip, 0.8, np.random.default_rng(0))
    assert found.shape == clip.shape
    assert found.dtype == np.uint8
    assert not np.array_equal(found, clip)
    np.testing.assert_array_equal(clip, before)  # what was given is left alone


@pytest.mark.parametrize("kind", DAMAGES)
def test_the_same_chance_gives_the_same(kind: str) -> None:
    np.testing.assert_array_equal(damaged(kind, 0.5), damaged(kind, 0.5))


@pytest.mark.parametrize("kind", ["blur", "noise", "flicker", "shake", "shuffle", "freeze"])
def test_stronger_is_further_away(kind: str) -> None:
    def away(strength: float) -> float:
        errors = [np.abs(damaged(kind, strength, seed).astype(float) - clip_of()).mean() for seed in range(8)]
        return float(np.mean(errors))

    assert away(0.0) < away(0.5) < away(1.0)


def test_shuffled_frames_are_the_same_ones_in_other_places() -> None:
    clip = clip_of()
    for strength in (0.0, 1.0):
        found = damaged("shuffle", strength)
        places = [next(i for i in range(16) if np.array_equal(frame, clip[i])) for frame in found]
        assert sorted(places) == list(range(16))
        assert places != list(range(16))
    assert sum(place != at for at, place in enumerate(places)) > 8
    assert sum(not np.array_equal(a, b) for a, b in zip(damaged("shuffle", 0.0), clip, strict=True)) == 2


def test_frozen_frames_wait_for_the_next_that_is_shown() -> None:
    clip = clip_of()
    found = damaged("freeze", 0.0)
    shown = [next(i for i in range(16) if np.array_equal(frame, clip[i])) for frame in found]
    assert all(at - 1 <= place <= at for at, place in enumerate(shown))
    assert len(set(shown)) in (8, 9)
    assert len({frame.tobytes() for frame in damaged("freeze", 1.0)}) in (2, 3)


def test_flicker_leaves_every_frame_its_structure() -> None:
    found, clip = damaged("flicker", 0.5), clip_of()
    for frame, was in zip(found, clip, strict=True):
        inside = (frame > 0) & (frame < 255)  # what was not cut off
        assert np.corrcoef(frame[inside].astype(float), was[inside].astype(float))[0, 1] > 0.999
    assert np.ptp(found.mean(axis=(1, 2, 3))) > 5
