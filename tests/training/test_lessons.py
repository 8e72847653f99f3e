from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from vidperc.training import lessons as lessons_module
from vidperc.training.lessons import FACTS, KINDS, SPEEDS, Material, draw_lessons
from vidperc.training.scenes import Scene

BACKWARDS, SPEED, DAMAGE, STRENGTH, RIGHT, DOWN, NEARER, TURN = range(8)


def counting(frames: int = 80, *, usual: bool = True) -> Scene:
    """Frame n is grey of 2n + 20 all over."""
    levels = (2 * np.arange(frames) + 20).astype(np.uint8)
    return Scene(np.broadcast_to(levels[:, None, None, None], (frames, 50, 70, 3)).copy(), usual)


def photo() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3).astype(np.uint8)


def drawn(material: Material, numbers: range = range(60), side: int = 32) -> tuple[Tensor, Tensor]:
    return draw_lessons(material, numbers, frames=16, side=side, seed=0)


@pytest.fixture
def undamaged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessons_module, "_INTACT", 1.0)


def test_lessons_depend_on_the_seed_and_their_numbers_alone() -> None:
    material = Material([counting()], [photo()])
    clips, facts = drawn(material, range(15, 20))
    assert (tuple(clips.shape), tuple(facts.shape)) == ((5, 16, 3, 32, 32), (5, len(FACTS)))
    assert clips.dtype == facts.dtype == torch.float32
    assert 0 <= float(clips.min()) < float(clips.max()) <= 1
    again = [
        torch.cat(parts) for parts in zip(drawn(material, range(15, 17)), drawn(material, range(17, 20)), strict=True)
    ]
    torch.testing.assert_close(clips, again[0], rtol=0, atol=0)
    torch.testing.assert_close(facts, again[1], rtol=0, atol=0, equal_nan=True)
    assert not torch.equal(clips, drawn(material, range(20, 25))[0])


@pytest.mark.usefixtures("undamaged")
def test_direction_and_speed_are_those_of_the_frames() -> None:
    clips, facts = drawn(Material([counting()], []))
    rise = clips.mean(dim=(2, 3, 4)).diff(dim=1).mean(dim=1)  # of grey, a frame
    assert bool(((rise < 0) == (facts[:, BACKWARDS] == 1)).all())
    # Other light makes the same rise more or less, but four times the speed is always more than one.
    by_speed = [rise.abs()[facts[:, SPEED] == place] for place in range(len(SPEEDS))]
    assert min(len(found) for found in by_speed) > 5
    for place, speed in enumerate(SPEEDS):
        assert float(by_speed[place].median()) == pytest.approx(2 * speed / 255, rel=0.35)


@pytest.mark.usefixtures("undamaged")
def test_what_cannot_be_told_is_not_asked() -> None:
    _, facts = drawn(Material([counting(usual=False)], []))
    assert bool(facts[:, SPEED].isnan().all())
    assert bool(facts[:, BACKWARDS].isfinite().all())
    _, facts = drawn(Material([counting(50)], []))  # too short for four times the speed, which none would have
    assert bool(facts[:, SPEED].isnan().all())
    _, facts = drawn(Material([], [photo()]))
    assert bool(facts[:, [BACKWARDS, SPEED]].isnan().all())
    assert bool(facts[:, RIGHT:].isfinite().all())


def test_of_shuffled_and_frozen_clips_only_the_damage_is_asked() -> None:
    _, facts = drawn(Material([counting()], [photo()]), range(200))
    untimely = (facts[:, DAMAGE] == KINDS.index("shuffle")) | (facts[:, DAMAGE] == KINDS.index("freeze"))
    asked = facts[:, [BACKWARDS, SPEED, RIGHT, DOWN, NEARER, TURN]].isfinite().any(dim=1)
    assert bool((asked == ~untimely).all())
    assert 20 < int(untimely.sum()) < 80
    assert set(facts[:, DAMAGE].int().tolist()) == set(range(len(KINDS)))
    assert bool(((facts[:, STRENGTH] == 0) == (facts[:, DAMAGE] == 0)).all())
    assert bool(((facts[:, STRENGTH] >= 0) & (facts[:, STRENGTH] <= 1)).all())


@pytest.mark.usefixtures("undamaged")
def test_a_camera_moves_as_its_facts_say() -> None:
    """Where the middle of one frame went to in the next, found by matching."""
    clips, facts = drawn(Material([], [photo()]), range(30), side=64)
    checked = 0
    for clip, fact in zip(clips, facts, strict=True):
        if max(abs(float(fact[NEARER])), abs(float(fact[TURN]))) > 0.3:
            continue
        one, other = (np.ascontiguousarray(clip[place].mean(dim=0).numpy()) for place in (7, 8))
        found = cv2.matchTemplate(other, one[16:48, 16:48], cv2.TM_CCOEFF_NORMED)
        _, _, _, (x, y) = cv2.minMaxLoc(found)
        # What is seen goes the other way than the camera; matching gives whole pixels.
        assert x - 16 == pytest.approx(-2 * float(fact[RIGHT]), abs=0.9)
        assert y - 16 == pytest.approx(-2 * float(fact[DOWN]), abs=0.9)
        checked += 1
    assert checked > 5


def test_no_light_and_no_colour_gives_a_clip_away() -> None:
    clips, _ = drawn(Material([counting()], []))
    assert float(clips[:, 0].mean(dim=(1, 2, 3)).std()) > 0.05
