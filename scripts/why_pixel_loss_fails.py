"""Make the figures of docs/why_pixel_loss_fails.md, and print the numbers of its tables.

    python scripts/why_pixel_loss_fails.py DATA [--weights FOLDER] [--out docs/pictures]

DATA holds images/gb82_cc0 and videos/real; the weights are those of SqueezeNet with the LPIPS heads, and wct16x (by
default in DATA/weights). Needs the extra `figures`. Every figure is drawn from numbers that this script computes.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Mapping
from itertools import islice, pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from vidperc.metrics.flicker import flicker
from vidperc.metrics.psnr import psnr_rgb
from vidperc.metrics.tof import tof
from vidperc.metrics.warping_error import warping_error
from vidperc.motion.estimator import open_estimator
from vidperc.motion.find import find_motion
from vidperc.ops.resize import resize
from vidperc.ops.warp import warp
from vidperc.perception.backbone import Backbone, open_backbone
from vidperc.perception.gram import gram
from vidperc.perception.lpips import Lpips, load_lpips
from vidperc.perception.ssim import ssim
from vidperc.video.probe import probe
from vidperc.video.rgb import read_rgb

plt = importlib.import_module("matplotlib.pyplot")  # an extra, which type checkers need not find
Figure = Any

CHANCES = (0.6, 0.4)  # of the two pictures that one blurred input may come from
EQUAL_DB = 26.0  # PSNR that every distortion of the second figure is brought to
SIDE = 160
FIRST, FRAMES = 160, 20  # of the clip: a bottle is carried past a camera that stands


def read(path: Path, left: int, top: int, side: int = SIDE) -> Tensor:
    """A square of a picture, (1,3,side,side) in [0,1]."""
    with Image.open(path) as image:
        codes = np.array(image.convert("RGB").crop((left, top, left + side, top + side)))
    return torch.from_numpy(codes).permute(2, 0, 1)[None].float() / 255


def shown(picture: Tensor) -> np.ndarray:
    return picture[0].clamp(0, 1).permute(1, 2, 0).numpy()


# ---- one input, two truths ----


def best(start: Tensor, loss: Callable[[Tensor], Tensor], *, steps: int, rate: float) -> Tensor:
    """The picture that makes a loss smallest, by gradient descent on its pixels."""
    picture = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([picture], lr=rate)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - step / steps)
        optimiser.zero_grad()
        value = loss(picture)
        value.backward()
        optimiser.step()
    return picture.detach()


def expected(loss: Callable[[Tensor, Tensor], Tensor], truths: Tensor) -> Callable[[Tensor], Tensor]:
    """The mean loss over the truths that one input may come from, (2,...), by their chances."""
    return lambda picture: sum(
        (chance * loss(picture, truth) for chance, truth in zip(CHANCES, truths, strict=True)), picture.new_zeros(())
    )


def two_truths() -> Figure:
    """An edge that may be here or there: what L2 and L1 make of it."""
    place = torch.arange(32.0)
    truths = torch.stack([(place >= 12).float(), (place >= 19).float()]) * 0.8 + 0.1
    grey = torch.full((32,), 0.5)
    found = {
        "L2": best(grey, expected(lambda a, b: (a - b).square().mean(), truths), steps=1500, rate=0.02),
        "L1": best(grey, expected(lambda a, b: (a - b).abs().mean(), truths), steps=1500, rate=0.02),
    }
    mean = CHANCES[0] * truths[0] + CHANCES[1] * truths[1]
    print(f"two truths: L2 optimum to the mean {float((found['L2'] - mean).abs().max()):.4f} at most")
    print(f"            L1 optimum to the median {float((found['L1'] - truths[0]).abs().max()):.4f} at most")
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.4), sharey=True, layout="constrained")
    curves = {"what may be true": truths, "best under L2": found["L2"][None], "best under L1": found["L1"][None]}
    for axis, (title, rows) in zip(axes, curves.items(), strict=True):
        for row, colour in zip(rows, ("tab:blue", "tab:orange"), strict=False):
            axis.step(place, row, where="mid", color=colour if len(rows) > 1 else "black")
        axis.set_title(title, fontsize=10)
        axis.set_ylim(0, 1)
        axis.set_xlabel("pixel")
    axes[0].legend([f"{chance:.0%} of the time" for chance in CHANCES], fontsize=8, loc="upper left")
    return figure


def lost_texture(meadow: Tensor, eye: Backbone) -> Figure:
    """A texture whose phase the input does not tell: the pixel losses' optimum, and that of a loss on statistics."""
    chance = np.random.default_rng(0)
    side, spare = 96, meadow.shape[-1] - 96
    corners = [(int(chance.integers(spare)), int(chance.integers(spare))) for _ in range(48)]
    truths = torch.cat([meadow[..., y : y + side, x : x + side] for y, x in corners])  # (48, 3, side, side)
    with torch.no_grad():
        styles = {name: gram(features).mean(dim=0) for name, features in eye(truths).items()}

    def statistics(picture: Tensor) -> Tensor:
        losses = [
            (gram(features)[0] - styles[name]).square().sum() / styles[name].square().sum()
            for name, features in eye(picture).items()
        ]
        # The mean is what every truth shares, and what a low-resolution input would tell.
        return torch.stack(losses).sum() + 10 * (picture.mean(dim=(2, 3)) - truths.mean(dim=(0, 2, 3))).square().sum()

    start = truths.mean(dim=0, keepdim=True) + 0.05 * torch.from_numpy(chance.normal(0, 1, (1, 3, side, side))).float()
    panels = {
        "one of the truths": truths[:1],
        "best under L2: their mean": truths.mean(dim=0, keepdim=True),
        "best under L1: their median": truths.median(dim=0, keepdim=True).values,
        "best under Gram matrices": best(start, statistics, steps=400, rate=0.02),
    }
    print("a texture of unknown phase: mean squared error to a truth, and standard deviation of the picture")
    for title, picture in panels.items():
        error = float((picture.clamp(0, 1) - truths[1:]).square().mean())
        print(f"  {title:30}{error:10.4f}{float(picture.clamp(0, 1).std(dim=(2, 3)).mean()):10.4f}")
    return strip(panels)


def strip(panels: Mapping[str, Tensor], notes: Mapping[str, str] | None = None) -> Figure:
    """Pictures side by side, a title over each and a note below it."""
    figure, axes = plt.subplots(1, len(panels), figsize=(2.3 * len(panels), 2.75), layout="constrained")
    for axis, (title, picture) in zip(axes, panels.items(), strict=True):
        axis.imshow(shown(picture), interpolation="nearest", vmin=0, vmax=1)
        axis.set_title(title, fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_xlabel((notes or {}).get(title, ""), fontsize=8)
    return figure


# ---- one error, many looks ----


def at_equal_error(name: str, distort: Callable[[float], Tensor], true: Tensor, largest: float) -> Tensor:
    """A distortion as strong as gives EQUAL_DB, found by halving; distort takes a strength and is weaker near 0."""
    low, high = 0.0, largest
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if float(psnr_rgb(distort(middle), true)) > EQUAL_DB else (low, middle)
    print(f"  {name}: a strength of {low:.3f} gives {EQUAL_DB} dB")
    return distort(low)


def blurred(picture: Tensor, sigma_px: float) -> Tensor:
    """By a Gaussian, the border going on beyond itself."""
    reach = max(1, round(4 * sigma_px))
    place = torch.arange(-reach, reach + 1, dtype=torch.float32)
    weights = torch.exp(-0.5 * (place / max(sigma_px, 1e-3)).square())
    weights = (weights / weights.sum()).view(1, 1, -1, 1)
    planes = picture.transpose(0, 1)  # (3, 1, H, W)
    rows = F.conv2d(F.pad(planes, (0, 0, reach, reach), mode="replicate"), weights)
    columns = F.conv2d(F.pad(rows, (reach, reach, 0, 0), mode="replicate"), weights.transpose(2, 3))
    return columns.transpose(0, 1)


def moved(picture: Tensor, px: float) -> Tensor:
    flow = picture.new_full((1, 2, *picture.shape[-2:]), px)
    return warp(picture, flow, mode="bicubic").clamp(0, 1)


def compared(out: Tensor, true: Tensor, lpips: Lpips, eye: Backbone) -> dict[str, float]:
    """The figures of one picture against another, both (1,3,H,W) in [0,1]."""
    one, other = eye(out), eye(true)
    deep = list(one)[-1]
    apart = (one[deep] - other[deep]).square().mean() / other[deep].square().mean()
    style = [(gram(one[name]) - gram(other[name])).square().sum() / gram(other[name]).square().sum() for name in one]
    return {
        "MSE": float((out - true).square().mean()),
        "PSNR": float(psnr_rgb(out, true)),
        "SSIM": float(ssim(out, true)),
        "LPIPS": float(lpips(out, true)),
        "feature": float(apart),
        "Gram": float(torch.stack(style).mean()),
    }


def table(title: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    """Print figures as a Markdown table."""
    names = list(next(iter(rows.values())))
    print(f"\n| {title} | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for row, values in rows.items():
        told = [f"{value:.2f}" if abs(value) >= 10 else f"{value:.3g}" for value in values.values()]
        print(f"| {row} | " + " | ".join(told) + " |")


@torch.no_grad()
def equal_errors(dog: Tensor, lpips: Lpips, eye: Backbone) -> Figure:
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 1, tuple(dog.shape))).float()
    distortions: dict[str, tuple[Callable[[float], Tensor], float]] = {
        "brighter": (lambda much: (dog + much).clamp(0, 1), 0.5),
        "moved": (lambda px: moved(dog, px), 12.0),
        "noise": (lambda much: (dog + much * noise).clamp(0, 1), 0.5),
        "blurred": (lambda sigma_px: blurred(dog, sigma_px), 24.0),
    }
    made = {name: at_equal_error(name, distort, dog, most) for name, (distort, most) in distortions.items()}
    figures = {name: compared(picture, dog, lpips, eye) for name, picture in made.items()}
    table("equal error", figures)
    notes = {
        name: f"PSNR {of['PSNR']:.1f}, SSIM {of['SSIM']:.2f}\nLPIPS {of['LPIPS']:.3f}" for name, of in figures.items()
    }
    return strip({"true": dog, **made}, notes)


@torch.no_grad()
def another_meadow(meadow: Tensor, lpips: Lpips, eye: Backbone) -> Figure:
    """Grass against other grass of the same meadow, and against a plate of its mean colour."""
    side = SIDE
    true = meadow[..., 40 : 40 + side, 40 : 40 + side].contiguous()
    made = {
        "other grass": meadow[..., 40 : 40 + side, 240 : 240 + side].contiguous(),
        "blurred": blurred(true, 3.0),
        "one colour": true.mean(dim=(2, 3), keepdim=True).expand_as(true).contiguous(),
    }
    figures = {name: compared(picture, true, lpips, eye) for name, picture in made.items()}
    table("texture", figures)
    notes = {
        name: f"PSNR {of['PSNR']:.1f}, SSIM {of['SSIM']:.2f}\nLPIPS {of['LPIPS']:.3f}, Gram {of['Gram']:.2f}"
        for name, of in figures.items()
    }
    return strip({"true": true, **made}, notes)


# ---- one video, three failures ----


@torch.no_grad()
def over_time(clip: Path, lpips: Lpips) -> Figure:
    """A clip frozen, blurred and flickering: figures over time, and x-t slices."""
    frames = islice(read_rgb(clip, color=probe(clip).color, threads=1), FIRST, FIRST + FRAMES)
    true = torch.stack([frame[:, :160, :240].clamp(0, 1) for frame in frames])  # (T, 3, 160, 240)
    detail = torch.cat([frame[None] - blurred(frame[None], 1.5) for frame in true])
    turns = torch.tensor([0.5, -0.5]).repeat(FRAMES // 2).view(-1, 1, 1, 1)
    videos = {
        "true": true,
        "bicubic": resize(resize(true, (80, 120), "bicubic").clamp_(0, 1), (160, 240), "bicubic").clamp_(0, 1),
        "blurred": torch.cat([blurred(frame[None], 2.0) for frame in true]),
        "frozen": true[:1].expand_as(true).contiguous(),
        "flickering": (true + turns * detail).clamp_(0, 1),
    }
    estimator = open_estimator("dis", preset="balanced")
    motions = list(find_motion(((frame[None], 0) for frame in true), estimator))
    rows: dict[str, dict[str, float]] = {}
    for name, video in videos.items():
        pairs = list(pairwise(range(FRAMES)))
        steps = [(video[a], video[b], motions[b]) for a, b in pairs]
        per_frame = [float(lpips(one[None], other[None])) for one, other in zip(video, true, strict=True)]
        rows[name] = {
            "PSNR": fmean(float(psnr_rgb(one[None], other[None])) for one, other in zip(video, true, strict=True)),
            "LPIPS": fmean(per_frame),
            "warping error x 1e5": 1e5 * fmean(warping_error(*step) or 0.0 for step in steps),
            "flicker": fmean(flicker(*step) or 0.0 for step in steps),
            "tOF": fmean(tof((video[a], true[a]), (video[b], true[b])) for a, b in pairs),
        }
    table("over time", rows)
    line = int(true.std(dim=0).mean(dim=(0, 2)).argmax())  # where most moves
    figure, axes = plt.subplots(1, len(videos), figsize=(2.3 * len(videos), 2.5), layout="constrained")
    for axis, (name, video) in zip(axes, videos.items(), strict=True):
        axis.imshow(video[:, :, line].permute(0, 2, 1).numpy(), aspect="auto", interpolation="nearest")
        axis.set_title(name, fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
        of = rows[name]
        note = f"warping error {of['warping error x 1e5']:.2f}e-5\nflicker {of['flicker']:.2f}, tOF {of['tOF']:.2f}"
        axis.set_xlabel(note, fontsize=8)
    axes[0].set_ylabel("time, downwards", fontsize=8)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    words = parser.parse_args()
    weights: Path = words.weights or words.data / "weights"
    lpips = load_lpips(weights)
    eye = open_backbone("wct16x", layers=("relu1_1", "relu2_1", "relu3_1", "relu4_1"), weights=weights)
    photos = words.data / "images" / "gb82_cc0"
    meadow = read(photos / "grass-lossless.png", 60, 170, 400)
    dog = read(photos / "dog-lossless.png", 190, 140)
    figures = {
        "two_truths": two_truths(),
        "lost_texture": lost_texture(meadow, eye),
        "equal_errors": equal_errors(dog, lpips, eye),
        "another_meadow": another_meadow(meadow, lpips, eye),
        "over_time": over_time(words.data / "videos" / "real" / "intel_bottle-detection.mp4", lpips),
    }
    for name, figure in figures.items():
        path = words.out / f"{name}.png"
        figure.savefig(path, dpi=110)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
