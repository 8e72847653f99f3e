"""Optimise the pixels of a flickering clip under L1, and under L1 and one temporal term, and measure what they became.

    python scripts/steady_pixels.py DATA [--weights FOLDER] [--clip NAME] [--steps N] [--pictures FOLDER]
                                    [--only TERM ...]

A part of a real clip of DATA/videos/real, the source, is made to flicker as programs do that work frame by frame: each
frame gets a gain and soft blotches of colour of its own, the same in every run. Its pixels are then optimised by Adam.
L1 holds them to the flickering clip: alone it leaves everything as it is. The terms along the motion take that of the
source (DIS, balanced); the 3D-backbone term compares with the source itself, seen through our own network.

warping error and flicker are those of `vidperc measure`, along the motion of the source, PSNR is to the source. The
picture holds x-t slices, one row of pixels with time downwards. The weights are those of wct16x, and of our own 3D
network where the folder holds others than come along; by default DATA/weights.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from vidperc.clip import Motion
from vidperc.compare.panels import codes, titled
from vidperc.losses.motion_choice import MotionChoice
from vidperc.losses.objective import Objective
from vidperc.losses.pixel import L1
from vidperc.losses.sample import Sample
from vidperc.losses.temporal_feature import TemporalFeature
from vidperc.losses.term import Term
from vidperc.losses.video_feature import VideoFeature
from vidperc.losses.warp_loss import Warp
from vidperc.metrics.flicker import flicker
from vidperc.metrics.psnr import psnr_rgb
from vidperc.metrics.warping_error import warping_error
from vidperc.video.probe import probe
from vidperc.video.rgb import read_rgb

HEIGHT, WIDTH, FRAMES = 160, 240, 12
GAIN, BLOTCHES, BLOTCH_PX = 0.03, 0.05, 4  # standard deviations; the grid that blotches are drawn on
CUT_PX = 16  # the largest stride
RATE = 0.01  # of Adam, in [0,1] a step
TERMS: dict[str, Term | None] = {
    "L1 alone": None,
    "warp": Warp(weight=1.0),
    "warp, long": Warp(weight=1.0, reach="long"),
    "temporal feature": TemporalFeature(backbone="wct16x", layers={"relu1_1": 1.0}, weight=1.0),
    "3D backbone": VideoFeature(backbone="own", layers={"stem": 1.0}, weight=3000.0),
}


def read_part(path: Path) -> Tensor:
    """The middle of the first frames, (1,T,3,H,W) in [0,1]."""
    frames = torch.stack(list(islice(read_rgb(path, color=probe(path).color, threads=1), FRAMES)))
    top, left = (frames.shape[-2] - HEIGHT) // 2, (frames.shape[-1] - WIDTH) // 2
    return frames[None, :, :, top : top + HEIGHT, left : left + WIDTH].clamp(0, 1).contiguous()


def made_to_flicker(source: Tensor) -> Tensor:
    """Every frame with a gain and blotches of its own, the same for every run."""
    generator = torch.Generator().manual_seed(0)
    frames = source.shape[1]
    gain = 1 + GAIN * torch.randn((1, frames, 1, 1, 1), generator=generator)
    rough = torch.randn((frames, 3, HEIGHT // BLOTCH_PX, WIDTH // BLOTCH_PX), generator=generator)
    blotches = BLOTCHES * F.interpolate(rough, size=(HEIGHT, WIDTH), mode="bilinear")[None]
    return (source * gain + blotches).clamp(0, 1)


def optimised(
    flickering: Tensor, source: Tensor, motion: Sequence[Motion], term: Term | None, args: argparse.Namespace
):
    """The flickering clip's pixels after so many steps under L1 and the term."""
    held = Objective.open([L1()])
    steadied = Objective.open([term], weights=args.weights) if term is not None else None
    out = flickering.clone().requires_grad_()
    optimiser = torch.optim.Adam([out], lr=RATE)
    generator = torch.Generator().manual_seed(0)
    for step in range(args.steps):
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - step / args.steps)
        total = held(Sample(out=out, true=flickering)).total
        if steadied is not None:
            total = total + steadied(_seen(out, source, motion, steadied, generator)).total
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    return out.detach().clamp(0, 1)


def _seen(
    out: Tensor, source: Tensor, motion: Sequence[Motion], objective: Objective, generator: torch.Generator
) -> Sample:
    """What the term looks at in one step.

    A network with strides does not see some patterns of single pixels, into which free pixels would run; a network
    that is trained is cropped at random. So is the picture here, in every step, where no motion belongs to it.
    """
    if any("motion" in term.needs for term in objective.terms):
        return Sample(out=out, true=source, motion=motion)
    top, left = (int(torch.randint(0, CUT_PX, (), generator=generator)) for _ in range(2))
    return Sample(out=out[..., top:, left:], true=source[..., top:, left:])


def figures(out: Tensor, source: Tensor, motion: Motion) -> tuple[float, float, float]:
    """Warping error, flicker in codes, PSNR to the source in dB."""
    steps = [(out[0, t - 1], out[0, t], motion.part(t, t + 1)) for t in range(1, FRAMES)]
    errors, flickers = ([measure(*step) for step in steps] for measure in (warping_error, flicker))
    return (
        fmean(error for error in errors if error is not None),
        fmean(value for value in flickers if value is not None),
        float(psnr_rgb(out[0], source[0]).mean()),
    )


def save_slices(clips: dict[str, Tensor], path: Path) -> None:
    """The middle row of each clip over time, under its name, side by side."""
    slices: list[np.ndarray] = []
    for name, clip in clips.items():
        rows = codes(clip[0, :, :, HEIGHT // 2].permute(1, 0, 2))  # (T, W, 3)
        slices.append(titled(rows.repeat(8, axis=0).repeat(2, axis=1), name))
    gap = np.full((slices[0].shape[0], 4, 3), 255, np.uint8)
    rows = [part for one in slices for part in (one, gap)][:-1]
    half = (len(slices) + 1) // 2 * 2
    above, below = rows[: half - 1], rows[half:]
    width = sum(part.shape[1] for part in above)
    second = np.concatenate(below, axis=1)
    second = np.pad(second, ((4, 0), (0, width - second.shape[1]), (0, 0)), constant_values=255)
    Image.fromarray(np.concatenate([np.concatenate(above, axis=1), second])).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--clip", default="sam2_bedroom_540p.mp4")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--only", nargs="+", choices=TERMS, default=list(TERMS))
    args = parser.parse_args()
    args.weights = args.weights or args.data / "weights"
    source = read_part(args.data / "videos" / "real" / args.clip)
    flickering = made_to_flicker(source)
    motion = MotionChoice(preset="balanced").open("cpu")(source)
    clips = {"source": source, "flickering": flickering}
    print(f"{'':20}{'warping error':>15}{'flicker':>10}{'PSNR':>8}{'seconds':>9}")
    for name, clip in clips.items():
        error, shimmer, db = figures(clip, source, motion[0])
        print(f"{name:20}{error:15.6f}{shimmer:10.3f}{db:8.2f}")
    for name in args.only:
        began = time.perf_counter()
        clips[name] = optimised(flickering, source, motion, TERMS[name], args)
        error, shimmer, db = figures(clips[name], source, motion[0])
        print(f"{name:20}{error:15.6f}{shimmer:10.3f}{db:8.2f}{time.perf_counter() - began:9.0f}", flush=True)
    if args.pictures is not None:
        save_slices(clips, args.pictures / "steady_pixels.png")


if __name__ == "__main__":
    main()
