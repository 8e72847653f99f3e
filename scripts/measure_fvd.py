"""What fvd@own says of damaged videos: the table of docs/metrics.md.

    python scripts/measure_fvd.py VIDEO... [--frames N] [--weights FILE] [--json FILE]

The frames of every video are damaged in one way and the clips of all of them are held against those of the videos as
they are. Every video is taken for one shot. The last three kinds were not among those that the network learnt to tell
apart.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidperc.clip import Color
from vidperc.metrics.frechet import Moments, frechet_distance
from vidperc.metrics.fvd import EVERY, FRAMES, clip_features, fitted
from vidperc.ops.color import rgb_to_planes
from vidperc.ops.layout import LAYOUTS
from vidperc.perception.video_backbone import VideoBackbone, open_video_backbone
from vidperc.training.clips import to_pixels
from vidperc.training.degrade import h264
from vidperc.video.encoder import Encoder
from vidperc.video.rgb import read_rgb

Frames = NDArray[np.uint8]  # (T,H,W,3)
Damage = Callable[[Frames, float], Frames]

_COLOR = Color(matrix=6, full_range=False, primaries=6, transfer=6)


def blurred(frames: Frames, sigma_px: float) -> Frames:
    return each(frames, lambda frame: cv2.GaussianBlur(frame, (0, 0), sigma_px))


def noisy(frames: Frames, codes: float) -> Frames:
    chance = np.random.default_rng(0)
    return each(frames, lambda frame: frame + codes * chance.standard_normal(frame.shape, dtype=np.float32))


def shuffled(frames: Frames, run: float) -> Frames:
    chance = np.random.default_rng(0)
    order = np.arange(len(frames))
    for start in range(0, len(order), int(run)):
        part = order[start : start + int(run)].copy()
        while len(part) > 1 and np.array_equal(part, order[start : start + int(run)]):
            part = chance.permutation(part)
        order[start : start + int(run)] = part
    return frames[order]


def flickering(frames: Frames, percent: float) -> Frames:
    gains = iter(1 + np.random.default_rng(0).normal(0, percent / 100, len(frames)))
    return each(frames, lambda frame: frame * next(gains))


def shaken(frames: Frames, sigma_px: float) -> Frames:
    chance = np.random.default_rng(0)

    def moved(frame: Frames) -> Frames:
        x, y = chance.normal(0, sigma_px, 2)
        way = np.array([[1, 0, x], [0, 1, y]])
        size = frame.shape[1], frame.shape[0]
        return cv2.warpAffine(frame, way, size, borderMode=cv2.BORDER_REFLECT_101).astype(np.uint8)

    return each(frames, moved)


def held(frames: Frames, count: float) -> Frames:
    return frames[np.arange(len(frames)) // int(count) * int(count)]


def shrunk(frames: Frames, factor: float) -> Frames:
    height, width = frames.shape[1:3]
    small = round(width / factor), round(height / factor)

    def there_and_back(frame: Frames) -> Any:
        reduced = cv2.resize(frame, small, interpolation=cv2.INTER_AREA)
        return cv2.resize(reduced, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)

    return each(frames, there_and_back)


def compressed(frames: Frames, crf: float) -> Frames:
    even = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    with tempfile.TemporaryDirectory(prefix="vidperc-fvd-") as folder:
        path = Path(folder, "clip.mkv")
        settings = h264(crf=int(crf))
        height, width = even.shape[1:3]
        with Encoder(
            path, settings, width=width, height=height, color=_COLOR, time_base=Fraction(1, 25), rate=Fraction(25)
        ) as target:
            for pts, frame in enumerate(even):
                rgb = torch.from_numpy(frame.copy()).permute(2, 0, 1).float().div(255)
                planes = rgb_to_planes(rgb, LAYOUTS["yuv420p"], matrix=_COLOR.matrix, full_range=False)
                target.encode([plane.numpy() for plane in planes], pts)
        return np.concatenate([to_pixels(frame[None]) for frame in read_rgb(path, color=_COLOR, threads=1)])


def backwards(frames: Frames, _: float) -> Frames:
    return frames[::-1]


def each(frames: Frames, change: Callable[[Frames], Any]) -> Frames:
    made = np.empty_like(frames)
    for place in range(len(frames)):
        made[place] = (np.clip(change(frames[place]), 0, 255) + 0.5).astype(np.uint8)
    return made


# Kinds, what their strengths are, and three of these.
KINDS: Sequence[tuple[str, Damage, str, tuple[float, ...]]] = (
    ("blurred", blurred, "sigma, px", (1, 2, 4)),
    ("noisy", noisy, "sigma, codes", (5, 10, 20)),
    ("shuffled", shuffled, "within runs of so many frames", (2, 4, 8)),
    ("flickering", flickering, "sigma of the brightness, %", (1, 3, 6)),
    ("shaken", shaken, "sigma, px", (0.5, 1, 2)),
    ("frozen", held, "every frame shown so often", (2, 3, 4)),
    ("compressed", compressed, "crf of x264", (28, 36, 44)),
    ("shrunk and enlarged", shrunk, "factor", (2, 4, 8)),
    ("backwards", backwards, "", (1,)),
)


def clips_of(frames: Frames) -> Iterator[Tensor]:
    """The clips that `vidperc measure` takes of a shot, one by one, (1,16,3,224,224)."""
    small = torch.cat([fitted(torch.from_numpy(frame.copy()).permute(2, 0, 1)[None].float() / 255) for frame in frames])
    for start in range(0, len(frames) - FRAMES + 1, EVERY):
        yield small[None, start : start + FRAMES]


def moments(videos: Sequence[Frames], backbone: VideoBackbone, change: Callable[[Frames], Frames]) -> Moments:
    found = Moments()
    for frames in videos:
        for clip in clips_of(change(frames)):
            found.add(clip_features(clip, backbone))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=112, help="of each video, from its start")
    parser.add_argument("--weights", type=Path, help="a file that `vidperc train own-3d` made; else what comes along")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    backbone = open_video_backbone("own", weights=options.weights)
    videos = [
        np.concatenate([to_pixels(frame[None]) for frame in islice(read_rgb(path, threads=1), options.frames)])
        for path in options.videos
    ]
    true = moments(videos, backbone, lambda frames: frames)
    print(f"fvd@own,224,16 of {len(videos)} videos, {true.count} clips")
    figures: dict[str, dict[str, float]] = {}
    for name, damage, unit, strengths in KINDS:
        found = {
            f"{strength:g}": frechet_distance(
                moments(videos, backbone, lambda frames, s=strength, d=damage: d(frames, s)), true
            )
            for strength in strengths
        }
        figures[name] = found
        told = "".join(f"{strength:>5}: {value:<9.4g}" for strength, value in found.items())
        print(f"{name:20} {told} {unit}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
