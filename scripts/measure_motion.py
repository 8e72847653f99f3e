"""Measure the flow estimators: how far off they are, how well they hold on real clips, and what a frame costs.

    python scripts/measure_motion.py DATA/flow [--clips A.mp4 B.mp4] [--raft-small FILE] [--json FILE]

EPE is the mean endpoint error in pixels on three pairs whose flow is known, at full size and computed at half of it.
On clips the source is warped along its own motion; given is the squared difference of consecutive frames that is left,
as a share of what there is without a warp, over all pixels, and where only visible ones are warped, which is what a
stage that follows the motion can hope for; then the share of visible pixels.
The cost is that of both directions and the mask, for one 640x360 frame of luma, in milliseconds of one core, the best
of several; `times` is the cost over that of the default, which is what means something on a busy machine.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice, pairwise
from pathlib import Path
from time import thread_time
from typing import get_args

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from vidperc.motion.estimator import FlowEstimator, open_estimator
from vidperc.motion.find import find_motion, shrunk
from vidperc.motion.flo import read_flo
from vidperc.motion.table import DEFAULT_ESTIMATOR, DEFAULT_PRESET, ESTIMATORS, EstimatorName, Preset
from vidperc.ops.color import rgb_luma
from vidperc.ops.flow_size import resize_flow
from vidperc.ops.warp import warp
from vidperc.video.rgb import read_rgb

PAIRS = {
    "chairs": ("flyingchairs/00001_img1.ppm", "flyingchairs/00001_img2.ppm", "flyingchairs/00001_flow.flo"),
    "whale": (
        "middlebury_rubberwhale/frame10.png",
        "middlebury_rubberwhale/frame11.png",
        "middlebury_rubberwhale/flow10.flo",
    ),
    "sintel": ("sintel_alley_1/frame_0001.png", "sintel_alley_1/frame_0002.png", "sintel_alley_1/frame_0001.flo"),
}
PRESETS: tuple[Preset, ...] = get_args(Preset)
TIMED = 640, 360
REPEATS = 8


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to find motion; half: at half the size."""

    name: EstimatorName
    preset: Preset | None = None
    weights: str | None = None
    half: bool = False

    def open(self) -> FlowEstimator:
        return open_estimator(self.name, preset=self.preset, weights=self.weights)

    def __str__(self) -> str:
        return f"{self.name}{f' {self.preset}' if self.preset else ''}{', half size' if self.half else ''}"


@dataclass(frozen=True, kw_only=True)
class Figures:
    way: str
    epe: dict[str, float]
    clips: dict[str, tuple[float, float, float]]
    milliseconds: float
    is_default: bool


def picture(path: Path) -> Tensor:
    """(3,h,w) RGB in [0,1]."""
    pixels = np.array(Image.open(path).convert("RGB"), dtype=np.float32) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def endpoint_error(way: Way, folder: Path, pair: tuple[str, str, str]) -> float:
    estimator = way.open()
    one, other = (picture(folder / name) for name in pair[:2])
    truth = read_flo(folder / pair[2])
    here, there = (estimator.prepare(shrunk(frame, size_of(way, one))) for frame in (one, other))
    flow = resize_flow(estimator.flow(here, there)[None], tuple(truth.shape[1:]))[0]  # pyright: ignore[reportArgumentType]
    return float((flow - truth).square().sum(dim=0).sqrt().nanmean())


def size_of(way: Way, frame: Tensor) -> int:
    return min(frame.shape[-2:]) // 2 if way.half else 0


def left(way: Way, frames: list[Tensor]) -> tuple[float, float, float]:
    """What a warp of all pixels (1,h,w) leaves, what one of the visible ones does, and the share of these."""
    motions = list(find_motion(((frame[None], 0) for frame in frames), way.open(), size=size_of(way, frames[0])))
    everywhere = where_visible = still = visible = 0.0
    for (before, here), motion in zip(pairwise(frames), motions[1:], strict=True):
        motion = motion.at(*here.shape[-2:])
        warped, unmoved = (warp(before[None], motion.flow) - here).square(), (before - here).square()
        everywhere += float(warped.sum())
        where_visible += float((warped * motion.visible + unmoved * (1 - motion.visible)).sum())
        still += float(unmoved.sum())
        visible += float(motion.visible.mean())
    return everywhere / still, where_visible / still, visible / (len(frames) - 1)


def cost(way: Way, frames: list[Tensor]) -> float:
    """Seconds of one core for one frame, the best of several."""
    best = float("inf")
    motions = find_motion(((frame[None], 0) for frame in frames), way.open(), size=size_of(way, frames[0]))
    for place in range(len(frames)):
        began = thread_time()
        next(motions)
        if place > 1:  # the first has no frame before it, the second finds no buffers yet
            best = min(best, thread_time() - began)
    return best


def luma(path: Path, first: int, count: int) -> list[Tensor]:
    return [rgb_luma(frame) for frame in islice(read_rgb(path, threads=1), first, first + count)]


def ways(raft: dict[str, str | None]) -> Iterator[Way]:
    for half in (False, True):
        for preset in PRESETS:
            yield Way(name="dis", preset=preset, half=half)
        yield Way(name="farneback", half=half)
        for name in ("raft-small", "raft-large"):
            if raft[name]:
                yield Way(name=name, weights=raft[name], half=half)


def measure(way: Way, folder: Path, clips: dict[str, list[Tensor]]) -> Figures:
    one, other = (rgb_luma(picture(folder / name)) for name in PAIRS["sintel"][:2])
    timed = [F.interpolate(frame[None], size=TIMED[::-1], mode="area")[0] for frame in (one, other)]
    repeats = 2 if ESTIMATORS[way.name].weights else REPEATS
    usual = way.name == DEFAULT_ESTIMATOR and way.preset == DEFAULT_PRESET and not way.half
    return Figures(
        way=str(way),
        epe={name: endpoint_error(way, folder, pair) for name, pair in PAIRS.items()},
        clips={name: left(way, frames) for name, frames in clips.items()},
        milliseconds=cost(way, [*timed * repeats]) * 1000,
        is_default=usual,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flow", type=Path, help="the folder that holds the pairs")
    parser.add_argument("--clips", type=Path, nargs="*", default=[], help="videos to follow")
    parser.add_argument("--first", type=int, default=40, help="the frame that each is followed from")
    parser.add_argument("--frames", type=int, default=6, help="frames of each")
    parser.add_argument("--raft-small", help="a file of its weights; without, it is left out")
    parser.add_argument("--raft-large", help="the same")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    clips = {path.stem: luma(path, options.first, options.frames) for path in options.clips}
    found: list[Figures] = []
    for way in ways({"raft-small": options.raft_small, "raft-large": options.raft_large}):
        found.append(measure(way, options.flow, clips))
        print(f"measured {way}", flush=True)
    usual = next(figures.milliseconds for figures in found if figures.is_default)
    print("| estimator | " + " | ".join(PAIRS) + " | " + "".join(f"{name} | " for name in clips) + "ms | times |")
    print("|---" * (len(PAIRS) + len(clips) + 3) + "|")
    for figures in found:
        cells = [f"{error:.3f}" for error in figures.epe.values()]
        cells += ["{:.3f} {:.3f} {:.0%}".format(*figures.clips[name]) for name in clips]
        cells += [f"{figures.milliseconds:.1f}", f"{figures.milliseconds / usual:.2f}"]
        print(f"| {figures.way}{' (default)' if figures.is_default else ''} | " + " | ".join(cells) + " |")
    if options.json:
        options.json.write_text(json.dumps([asdict(figures) for figures in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
