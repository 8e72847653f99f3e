"""What can go wrong with a clip, done to it: what a network learns to tell apart, and metrics are shown to notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidperc.training.clips import ClipPixels
from vidperc.training.images import Pixels

Chance = np.random.Generator
Damage = Callable[[ClipPixels, float, Chance], ClipPixels]


def blur(clip: ClipPixels, strength: float, chance: Chance) -> ClipPixels:
    """Every frame blurred by the same Gaussian, of 0.5 to 3 pixels."""
    sigma_px = 0.5 * 6**strength
    return _each(clip, lambda frame, _: cv2.GaussianBlur(frame, (0, 0), sigma_px))


def noise(clip: ClipPixels, strength: float, chance: Chance) -> ClipPixels:
    """White noise, new in each frame, of 3 to 40 codes; half of the times the same in R, G and B."""
    shape = (*clip.shape[:3], 1 if chance.random() < 0.5 else 3)
    grain = chance.standard_normal(shape, dtype=np.float32) * np.float32(3 * (40 / 3) ** strength)
    return _codes(clip + grain)


def shuffle(clip: ClipPixels, strength: float, chance: Chance) -> ClipPixels:
    """Two of the frames, or up to all of them, in each other's places."""
    count = max(2, round(strength * len(clip)))
    moved = np.sort(chance.choice(len(clip), count, replace=False))
    order = np.arange(len(clip))
    while np.array_equal(order, np.arange(len(clip))):
        order[moved] = chance.permutation(moved)
    return clip[order]


def flicker(clip: ClipPixels, strength: float, chance: Chance) -> ClipPixels:
    """Every frame brighter or darker than it was, by 1 to 15 hundredths; at times each colour by itself."""
    spread = 0.01 * 15**strength
    shape = (len(clip), 1, 1, 1 if chance.random() < 0.7 else 3)
    gain = 1 + chance.normal(0, spread, shape).astype(np.float32)
    shift = chance.normal(0, 64 * spread, shape).astype(np.float32)
    return _codes(clip * gain + shift)


def shake(clip: ClipPixels, strength: float, chance: Chance) -> ClipPixels:
    """Every frame somewhere else, by 0.4 to 4 pixels."""
    away = chance.normal(0, 0.4 * 10**strength, (len(clip), 2)).astype(np.float32)
    side = clip.shape[2], clip.shape[1]

    def moved(frame: Pixels, place: int) -> Any:
        way = np.array([[1, 0, away[place, 0]], [0, 1, away[place, 1]]])
        return cv2.warpAffine(frame, way, side, borderMode=cv2.BORDER_REFLECT_101)

    return _each(clip, moved)


def freeze(clip: ClipPixels, strength: float, chance: Chance) -> ClipPixels:
    """Only every second frame, or up to every eighth, shown until the next of them."""
    held = 2 + round(6 * strength)
    first = int(chance.integers(held))
    return clip[np.maximum(0, (np.arange(len(clip)) + first) // held * held - first)]


def _each(clip: ClipPixels, change: Callable[[Pixels, int], Any]) -> ClipPixels:
    made = np.empty_like(clip)
    for place in range(len(clip)):
        made[place] = change(clip[place], place)
    return made


def _codes(values: NDArray[np.floating]) -> ClipPixels:
    return (np.clip(values, 0, 255) + 0.5).astype(np.uint8)


# Under the names by which they are told apart; strength 0 is hardly to be seen, 1 is strong.
DAMAGES: Mapping[str, Damage] = {
    "blur": blur,
    "noise": noise,
    "shuffle": shuffle,
    "flicker": flicker,
    "shake": shake,
    "freeze": freeze,
}
