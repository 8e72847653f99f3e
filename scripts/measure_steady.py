"""Measure what the steady stage does to a network whose output jitters, and to one that invents detail.

    python scripts/measure_steady.py CLIP... [--gan FILE] [--frames N] [--skip N] [--motion PRESET]
                                     [--steady KEY=VALUE ...] [--learned FILE] [--pictures FOLDER]

Each clip's luma is shrunk to at most 360 lines and made twice as large by fast-x2: the clean output. Jitter is added
to it, new in each frame and the same in every run: a gain, a shift of the network's detail, noise. With the clean
source as its guide, the steady stage then holds it: by its blend ("steady"), and by the network of --learned. The
other network, a file of weights that upscales by 4, is brought down to the same size by antialiased bicubic.

warping error: along the motion of the source (DIS), over visible pixels. PSNR is to the clean output, or to what the
other network made; moving pixels are those that move by more than 1 pixel of the output. lag: frames by which the
result is nearest to the clean output. gradient: mean absolute difference of neighbouring pixels. Pictures are x-t
slices (one row of pixels, time downwards) and the last frame.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vidperc.clip import Clip, Motion
from vidperc.metrics.tof import tof
from vidperc.metrics.warping_error import warping_error
from vidperc.models.precision import fast_precision
from vidperc.ops.color import rgb_luma
from vidperc.ops.layout import LAYOUTS
from vidperc.ops.resize import resize
from vidperc.ops.warp import warp
from vidperc.pipeline import Pipeline, PipelineSpec
from vidperc.placement import Placement
from vidperc.stages.motion import FindMotion
from vidperc.stages.steady import Steady
from vidperc.stages.upscale import Upscale
from vidperc.video.probe import probe
from vidperc.video.rgb import read_rgb

LINES = 360
GAIN, SHIFT_PX, NOISE = 0.02, 0.75, 3 / 255  # standard deviation, largest, standard deviation
GREY = LAYOUTS["gray"]


def read_luma(path: Path, frames: int, skip: int) -> Tensor:
    """So many frames of a clip, (T,1,h,w)."""
    wanted = islice(read_rgb(path, color=probe(path).color, threads=1), skip, skip + frames)
    luma = [rgb_luma(frame[None]) for frame in wanted]
    height, width = luma[0].shape[-2:]
    if height > LINES:
        size = LINES, round(width * LINES / height / 2) * 2
        luma = [resize(frame, size, "bicubic") for frame in luma]
    return torch.cat(luma)


def jittered(made: Tensor, base: Tensor) -> Tensor:
    """The output (T,1,H,W) of a network that cannot make up its mind."""
    chance = np.random.default_rng(0)
    out: list[Tensor] = []
    for t in range(len(made)):
        frame, below = made[t : t + 1], base[t : t + 1]
        shift = torch.from_numpy(chance.uniform(-SHIFT_PX, SHIFT_PX, 2).astype(np.float32)).view(1, 2, 1, 1)
        detail = warp(frame - below, shift.expand(1, 2, *frame.shape[-2:]).contiguous(), mode="bicubic")
        noise = torch.from_numpy(chance.normal(0, NOISE, tuple(frame.shape)).astype(np.float32))
        out.append((below + detail) * (1 + chance.normal(0, GAIN)) + noise)
    return torch.cat(out)


def piped(stages: Sequence[Upscale | FindMotion | Steady], clips: Iterator[Clip]) -> list[Clip]:
    spec = PipelineSpec("measure", "", tuple(stages))
    return list(Pipeline(spec, Placement(precision=fast_precision("cpu")))(clips))


def clips(source: Tensor, made: Tensor | None = None) -> Iterator[Clip]:
    for place in range(len(source)):
        here = source[place : place + 1]
        frames = here if made is None else made[place : place + 1]
        yield Clip(frames=frames, source=here, pts=(place,), time_base=Fraction(1, 25), layout=GREY)


def pictures_of(found: Sequence[Clip]) -> Tensor:
    return torch.cat([clip.frames for clip in found]).clamp_(0, 1)


def psnr(a: Tensor, b: Tensor, mask: Tensor | None = None) -> float:
    error = (a - b).square()
    mean = error.mean() if mask is None else (error * mask).sum() / mask.sum()
    return float("inf") if not float(mean) else float(-10 * mean.log10())


def figures(out: Tensor, clean: Tensor, motions: Sequence[Motion], moving: Tensor) -> dict[str, float]:
    """What is printed of an output (T,1,H,W)."""
    inner = range(2, len(out) - 2)
    lags = {lag: fmean(float((out[t] - clean[t + lag]).square().mean()) for t in inner) for lag in (-2, -1, 0, 1, 2)}
    wide = [frame.expand(3, -1, -1) for frame in out]
    true = [frame.expand(3, -1, -1) for frame in clean]
    pairs = range(1, len(out))
    return {
        "warping error": fmean(warping_error(out[t - 1], out[t], motions[t]) or 0.0 for t in pairs),
        "psnr": fmean(psnr(a, b) for a, b in zip(out, clean, strict=True)),
        "moving psnr": psnr(out, clean, moving),
        "lag": min(lags, key=lambda lag: (lags[lag], abs(lag))),
        "tof": fmean(tof((wide[t - 1], true[t - 1]), (wide[t], true[t])) for t in pairs),
        "gradient": float(out.diff(dim=-1).abs().mean() + out.diff(dim=-2).abs().mean()) / 2,
    }


def told(name: str, found: dict[str, float], than: dict[str, float] | None = None) -> None:
    change = "" if than is None else f" ({100 * (found['warping error'] / than['warping error'] - 1):+.0f} %)"
    print(
        f"  {name:22}{found['warping error']:10.2e}{change:9}{found['psnr']:9.2f}{found['moving psnr']:9.2f}"
        f"{found['lag']:5.0f}{found['tof']:9.4f}{100 * found['gradient']:10.3f}",
        flush=True,
    )


def slices(rows: Sequence[Tensor], path: Path) -> None:
    """The middle row of pixels over time of videos (T,1,H,W), one under the other, each instant 4 lines high."""
    parts: list[Tensor] = []
    for video in rows:
        parts += [video[:, 0, video.shape[2] // 2].repeat_interleave(4, 0), torch.ones(6, video.shape[3])]
    _save(torch.cat(parts), path)


def _save(picture: Tensor, path: Path) -> None:
    Image.fromarray((picture.clamp(0, 1) * 255).round().byte().numpy()).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--gan", type=Path, help="weights of a network that upscales by 4")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--skip", type=int, default=20, help="frames at the start of each clip")
    parser.add_argument("--motion", default="fast", help="preset of DIS")
    parser.add_argument("--steady", nargs="*", default=[], metavar="KEY=VALUE", help="settings of the stage")
    parser.add_argument("--learned", type=Path, help="weights of a consistency network, to hold by it, too")
    parser.add_argument("--pictures", type=Path, help="a folder for x-t slices and frames")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    stage = replace(Steady(), **{key: float(value) for key, value in (pair.split("=") for pair in asked.steady)})
    holding = {"steady": stage}
    if asked.learned is not None:
        holding["learned"] = replace(stage, method="learned", weights=str(asked.learned))
    motion = FindMotion(preset=asked.motion)
    print(f"{stage}, dis {motion.preset}")
    print(f"  {'':22}{'warping error':19}{'PSNR':>9}{'moving':>9}{'lag':>5}{'tOF':>9}{'gradient %':>10}")
    for path in asked.clips:
        source = read_luma(path, asked.frames, asked.skip)
        found = piped([motion, Upscale(model="fast-x2")], clips(source))
        clean, motions = pictures_of(found), [clip.motion for clip in found if clip.motion is not None]
        if len(motions) != len(clean) or len(clean) < 6:
            sys.exit(f"{path}: got {len(clean)} frames, wanted at least 6; --skip fewer")
        size = clean.shape[-2], clean.shape[-1]
        base = torch.cat([resize(source[t : t + 1], size, "bicubic") for t in range(len(source))])
        moving = torch.cat([(m.at(*size).flow.norm(dim=1, keepdim=True) > 1).float() for m in motions])
        print(f"{path.name}: {len(clean)} frames to {size[1]}x{size[0]}, {100 * float(moving.mean()):.0f} % move")
        trembling = jittered(clean, base)
        outputs = {"clean": clean, "jittered": trembling.clamp(0, 1)}
        for how, held in holding.items():
            outputs[f"jittered, {how}"] = pictures_of(piped([motion, held], clips(source, trembling)))
        if asked.gan is not None:
            large = [c.frames for c in piped([Upscale(model=str(asked.gan))], rgb_clips(source))]
            invented = torch.cat([resize(rgb_luma(frame), size, "bicubic") for frame in large])
            outputs["network"] = invented.clamp(0, 1)
            for how, held in holding.items():
                outputs[f"network, {how}"] = pictures_of(piped([motion, held], clips(source, invented)))
        before: dict[str, float] | None = None
        for name, out in outputs.items():
            held_against = outputs["network"] if name.startswith("network") else clean
            measured = figures(out, held_against, motions, moving)
            held_one = name.endswith(tuple(holding))
            told(name, measured, before if held_one else None)
            before = before if held_one else measured
        if asked.pictures is not None:
            asked.pictures.mkdir(parents=True, exist_ok=True)
            slices(list(outputs.values()), asked.pictures / f"{path.stem}_xt.png")
            for name, out in outputs.items():
                _save(out[-1, 0], asked.pictures / f"{path.stem}_{name.replace(', ', '_')}.png")


def rgb_clips(source: Tensor) -> Iterator[Clip]:
    for clip in clips(source):
        grey = clip.frames.expand(-1, 3, -1, -1)
        yield replace(clip, frames=grey, source=grey, layout=None)


if __name__ == "__main__":
    main()
