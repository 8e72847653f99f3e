"""Lessons for a 3D network that teaches itself: clips, and what is known of each because it was made so.

A clip of a real video may run backwards, play at twice or four times its speed, and be damaged; a camera that moves
over a photograph moves as it was told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from vidperc.training.clips import ClipPixels, a_place
from vidperc.training.damage import DAMAGES
from vidperc.training.images import Pixels
from vidperc.training.scenes import Scene

# What is known of a clip, in the order of the columns of its facts; not a number where it cannot be told.
FACTS = ("backwards", "speed", "damage", "strength", "right", "down", "nearer", "turn")
SPEEDS = (1, 2, 4)
KINDS = ("none", *DAMAGES)

_PHOTOS = 0.35  # share of the clips that are cameras over photographs
_INTACT = 0.4  # share of the clips that are not damaged
_UNTIMELY = ("shuffle", "freeze")  # after these nobody could tell the direction of time, or how fast it runs
# What counts as one in the facts of a camera: pixels, and hundredths of the zoom's logarithm and of a radian, a frame.
_PAN_PX, _ZOOM, _TURN = 2.0, 0.01, 0.01


@dataclass(frozen=True)
class Material:
    """scenes: of real videos, each with at least so many frames as a clip. photos: (H,W,3) uint8 RGB."""

    scenes: Sequence[Scene]
    photos: Sequence[Pixels]


def draw_lessons(material: Material, numbers: range, *, frames: int, side: int, seed: int) -> tuple[Tensor, Tensor]:
    """The clips of these numbers (N,T,3,S,S), float32 RGB in [0,1], and their FACTS (N,8).

    frames: T. side: S in pixels. A clip depends on the seed and its number alone.
    """
    lessons = [_lesson(material, np.random.default_rng((seed, number)), frames, side) for number in numbers]
    clips = torch.from_numpy(np.stack([clip for clip, _ in lessons]))
    facts = [[known.get(name, math.nan) for name in FACTS] for _, known in lessons]
    return clips.permute(0, 1, 4, 2, 3).float().div_(255), torch.tensor(
        facts, dtype=torch.float32
    )  # (N, T, 3, S, S), (N, 8)


def _lesson(
    material: Material, chance: np.random.Generator, frames: int, side: int
) -> tuple[ClipPixels, Mapping[str, float]]:
    known: dict[str, float]
    if not material.scenes or (material.photos and chance.random() < _PHOTOS):
        clip, known = _camera(material.photos[int(chance.integers(len(material.photos)))], chance, frames, side)
    else:
        clip, known = _excerpt(material.scenes, chance, frames, side)
    clip = _developed(clip, chance)
    if chance.random() < 0.5:
        clip = clip[:, :, ::-1]
        for name in ("right", "turn"):
            if name in known:
                known[name] = -known[name]
    kind, strength = "none", 0.0
    if chance.random() >= _INTACT:
        kind = KINDS[1 + int(chance.integers(len(DAMAGES)))]
        strength = float(chance.random())
        clip = DAMAGES[kind](np.ascontiguousarray(clip), strength, chance)
    if kind in _UNTIMELY:
        known = {}
    return np.ascontiguousarray(clip), {**known, "damage": KINDS.index(kind), "strength": strength}


def _excerpt(
    scenes: Sequence[Scene], chance: np.random.Generator, frames: int, side: int
) -> tuple[ClipPixels, dict[str, float]]:
    """A clip out of one of the scenes, longer ones oftener, as the square root of their length."""
    lengths = np.array([len(scene.frames) for scene in scenes], dtype=np.float64) ** 0.5
    scene = scenes[int(chance.choice(len(scenes), p=lengths / lengths.sum()))]
    # Speeds that this scene is too short for are left out; each that is asked about is as likely as the others then.
    speeds = [speed for speed in SPEEDS if (frames - 1) * speed < len(scene.frames)] if scene.usual else [1]
    speed = speeds[int(chance.integers(len(speeds)))]
    start = a_place(chance, len(scene.frames), (frames - 1) * speed + 1)
    run = scene.frames[start : start + (frames - 1) * speed + 1 : speed]
    # Near and far, and squeezed as wide pictures are where all are made square.
    height, width = run.shape[1:3]
    zoom = math.exp(chance.uniform(0, math.log(min(height, width) / side)))
    squeezed = math.exp(chance.uniform(0, math.log(1.8)))
    tall = min(height, round(side * zoom))
    wide = min(width, round(side * zoom * squeezed))
    top, left = a_place(chance, height, tall), a_place(chance, width, wide)
    cut = run[:, top : top + tall, left : left + wide]
    if (tall, wide) != (side, side):
        whole, cut = cut, np.empty((frames, side, side, 3), np.uint8)
        for place in range(frames):
            cut[place] = cv2.resize(whole[place], (side, side), interpolation=cv2.INTER_AREA)
    backwards = bool(chance.random() < 0.5)
    known = {"backwards": float(backwards)}
    if len(speeds) == len(SPEEDS):
        known["speed"] = float(speeds.index(speed))
    return (cut[::-1] if backwards else cut), known


def _camera(photo: Pixels, chance: np.random.Generator, frames: int, side: int) -> tuple[ClipPixels, dict[str, float]]:
    """A clip of a camera that moves evenly over a photograph, and how it moves."""
    speed, direction = min(float(chance.exponential(1.5)), 6.0), chance.uniform(0, 2 * np.pi)
    motion = np.array(
        [
            speed * np.cos(direction),
            speed * np.sin(direction),
            chance.normal(0, _ZOOM) * (chance.random() < 0.5),
            chance.normal(0, _TURN) * (chance.random() < 0.5),
        ]
    )
    if chance.random() < 0.1:
        motion[:] = 0
    time = np.arange(frames) - (frames - 1) / 2
    middle = (side - 1) / 2
    size = math.exp(chance.uniform(math.log(0.8), math.log(1.25)))
    reach = 0.75 * side * size + 0.5 * frames * float(np.hypot(motion[0], motion[1]))
    x, y = (_within(chance, float(photo.shape[axis]), reach) for axis in (1, 0))
    clip = np.empty((frames, side, side, 3), np.uint8)
    for number, at in enumerate(time.tolist()):
        # From a pixel of the clip to one of the photograph; what is shown moves against the camera.
        zoom, turn = size * np.exp(-at * motion[2]), at * motion[3]
        cos, sin = zoom * np.cos(turn), zoom * np.sin(turn)
        linear = np.array([[cos, -sin], [sin, cos]])
        place = np.array([x, y]) + size * at * motion[:2]
        view = np.column_stack([linear, place - linear @ (middle, middle)])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        clip[number] = cv2.warpAffine(photo, view, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    right, down, nearer, turned = (motion / (_PAN_PX, _PAN_PX, _ZOOM, _TURN)).tolist()
    return clip, {"right": right, "down": down, "nearer": nearer, "turn": turned}


def _within(chance: np.random.Generator, extent: float, reach: float) -> float:
    """A place that far from both ends, or in the middle where that is too far."""
    return chance.uniform(min(reach, extent / 2), max(extent - reach, extent / 2))


def _developed(clip: ClipPixels, chance: np.random.Generator) -> ClipPixels:
    """The clip with other light and colours, the same in all frames, so that none is known by these."""
    gain, gamma, shift = chance.uniform(0.7, 1.2), math.exp(chance.uniform(-0.4, 0.4)), chance.uniform(-20, 20)
    codes = 255 * gain * (np.arange(256) / 255) ** gamma + shift
    clip = (np.clip(codes, 0, 255) + 0.5).astype(np.uint8)[clip]
    choice = chance.random()
    if choice < 0.15:
        return np.repeat(clip.mean(axis=3, keepdims=True).astype(np.uint8), 3, axis=3)
    return clip[..., chance.permutation(3)] if choice < 0.4 else clip
