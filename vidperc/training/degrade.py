"""Pairs for networks that meet real video: what blur, shrinking, noise, JPEG and a video encoder leave of a clip.

Source: drawing a degradation once for a clip, with a real encoder as its last step, after K. Chan et al.,
"Investigating Tradeoffs in Real-World Video Super-Resolution", 2022.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor

from vidperc.clip import Color
from vidperc.errors import VidpercError
from vidperc.ops.blur import BD_SIGMA_PX, blur_and_pick
from vidperc.ops.color import rgb_to_planes
from vidperc.ops.layout import LAYOUTS
from vidperc.ops.resize import resize
from vidperc.training.clips import ClipPixels, a_place, film, to_pixels
from vidperc.training.images import Pair, Pixels
from vidperc.video.encoder import Encoder
from vidperc.video.encoder_settings import EncoderSettings, choose_encoder
from vidperc.video.rgb import read_rgb

# BT.601, whatever the resolution: training takes its luma from RGB by the same weights, and so a network learns from
# the luma that the decoder gave and not from one that another matrix mixed with the errors of chroma.
_COLOR = Color(matrix=6, full_range=False, primaries=6, transfer=6)
_SHORTEST, _LONGEST = 8, 12  # frames of a clip


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """What happens to a clip on its way to its viewer; as it stands here, it is only shrunk.

    blur: sigma of a Gaussian in pixels of the large frames. kernel: that shrinks, antialiased; bd is a Gaussian of
    BD_SIGMA_PX and one pixel of many, in the middle of those it stands for, as `vidperc evaluate` measures by.
    noise: sigma in 8-bit codes of the small frames, white, new in each. grey_noise: the same in R, G and B.
    jpeg: quality of a JPEG pass over every small frame. encoder: of a video pass over the small clip, in 4:2:0.
    """

    blur: float = 0
    kernel: Literal["bicubic", "bilinear", "area", "bd"] = "bicubic"
    noise: float = 0
    grey_noise: bool = False
    jpeg: int | None = None
    encoder: EncoderSettings | None = None


def draw_degradation(chance: np.random.Generator, *, scale: int) -> Degradation:
    """A degradation as video from cameras and the web has it: mild more often than strong, and none now and then."""
    if chance.random() < 0.2:  # so that a network tells what a codec left from what was there, and keeps that
        return Degradation()
    return Degradation(
        # Most small video was shrunk by a sharp kernel: a network that mostly saw blur cannot tell, and leaves it soft.
        blur=0 if chance.random() < 0.8 else float(chance.uniform(0.2, 0.9)) * scale / 2,
        kernel=chance.choice(["bicubic", "area", "bilinear"], p=[0.8, 0.1, 0.1]).item(),
        noise=0 if chance.random() < 0.7 else float(4 * chance.random() ** 1.5),
        grey_noise=bool(chance.random() < 0.4),
        jpeg=int(chance.integers(55, 96)) if chance.random() < 0.1 else None,
        encoder=_draw_encoder(chance),
    )


def _draw_encoder(chance: np.random.Generator) -> EncoderSettings | None:
    codec = chance.choice(["libx264", "mpeg4", "mpeg2video", ""], p=[0.75, 0.1, 0.05, 0.1]).item()
    if not codec:
        return None
    if codec == "libx264":
        preset = chance.choice(["ultrafast", "superfast", "veryfast", "fast", "medium"], p=[0.1, 0.15, 0.25, 0.2, 0.3])
        # Short clips of small frames lose 1.5 dB more at the same factor: as much as two or three steps of it. These
        # are therefore 14 to 38 of whole videos.
        return h264(crf=int(chance.integers(12, 36)), preset=preset.item())
    return mpeg(codec, quantiser=int(chance.integers(2, 15)), bidirectional=int(chance.integers(3)))


def h264(*, crf: int, preset: str = "medium") -> EncoderSettings:
    """x264 in 4:2:0 at a constant rate factor, 0 to 51."""
    return choose_encoder(source_pix_fmt="yuv420p", bits=8, codec="libx264", quality=str(crf), preset=preset)


def mpeg(codec: str, *, quantiser: int, bidirectional: int = 0) -> EncoderSettings:
    """mpeg4 or mpeg2video in 4:2:0 at a constant quantiser, 1 to 31, with so many B-frames between two others."""
    # Bounds of the rate control: the constant quantiser that the command line of FFmpeg offers is set frame by frame.
    options = {"qmin": str(quantiser), "qmax": str(quantiser), "bf": str(bidirectional)}
    return choose_encoder(source_pix_fmt="yuv420p", bits=8, codec=codec, options=options)


def degrade(frames: ClipPixels, how: Degradation, *, scale: int, chance: np.random.Generator) -> ClipPixels:
    """What is left of a clip: (T,H,W,3) to (T,H/scale,W/scale,3), both uint8 RGB, aligned to the pixel.

    chance: for the noise alone. H and W are multiples of the scale, and of twice the scale for a video pass.
    """
    large = torch.from_numpy(frames).permute(0, 3, 1, 2).float().div_(255)  # (T, 3, H, W)
    small = _shrink(blur_and_pick(large, 1, how.blur) if how.blur else large, how.kernel, scale)
    if how.noise:
        shape = (small.shape[0], 1 if how.grey_noise else 3, *small.shape[2:])
        small = small + torch.from_numpy(chance.normal(0, how.noise / 255, shape).astype(np.float32))
    if how.jpeg is not None:
        passed = np.stack([_through_jpeg(frame, how.jpeg) for frame in to_pixels(small)])
        small = torch.from_numpy(passed).permute(0, 3, 1, 2).float().div_(255)
    return to_pixels(small) if how.encoder is None else _through_encoder(small, how.encoder)


def _shrink(frames: Tensor, kernel: str, scale: int) -> Tensor:
    height, width = (side // scale for side in frames.shape[2:])
    if kernel == "bd":
        return blur_and_pick(frames, scale, BD_SIGMA_PX)
    if kernel == "area":
        return F.avg_pool2d(frames, scale)
    if kernel == "bilinear":
        return F.interpolate(frames, size=[height, width], mode="bilinear", align_corners=False, antialias=True)
    return resize(frames.contiguous(), (height, width), "bicubic")


def _through_jpeg(frame: Pixels, quality: int) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "jpeg", quality=quality)
    return np.array(Image.open(file).convert("RGB"))


def _through_encoder(frames: Tensor, encoder: EncoderSettings) -> ClipPixels:
    count, _, height, width = frames.shape
    rate: Any = {"time_base": Fraction(1, 25), "rate": Fraction(25)}
    with tempfile.TemporaryDirectory(prefix="vidperc-degrade-") as folder:
        path = Path(folder, "clip.mkv")
        with Encoder(path, encoder, width=width, height=height, color=_COLOR, **rate) as target:
            for pts, frame in enumerate(frames):
                planes = rgb_to_planes(frame, LAYOUTS["yuv420p"], matrix=_COLOR.matrix, full_range=False)
                target.encode([plane.numpy() for plane in planes], pts)
        decoded = list(read_rgb(path, color=_COLOR, threads=1))
    if len(decoded) != count:
        raise RuntimeError(f"{encoder.codec}: {len(decoded)} of {count} frames came back")
    return to_pixels(torch.stack(decoded))


def make_degraded_pairs(
    images: Sequence[Pixels],
    *,
    scale: int,
    count: int,
    seed: int,
    side: int,
    sizes: Sequence[float] = (1, 0.6),
    runs: Sequence[ClipPixels] = (),
    share_of_runs: float = 0.15,
    workers: int = 1,
) -> list[Pair]:
    """So many pairs of a clean large frame and what a degradation, drawn for its clip, left of it.

    images: (H,W,3) uint8 RGB, sharp; a camera moves over them at one of the sizes (see `film`). side: of the large
    frames, a multiple of twice the scale. runs: frames of real clips, sharp, of which this share of the clips is cut.
    What is smaller than side is left out. Two or three frames are taken of each clip, at any place in it.
    workers: threads. The same arguments give the same pairs, whatever the number of workers.

    Raises ValueError for another side, VidpercError when no image is large enough, or no run of those given.
    """
    if side % (2 * scale):
        raise ValueError(f"side: got {side}, wanted a multiple of {2 * scale}, as 4:2:0 at 1/{scale} needs")
    large_images = [image for image in images if min(image.shape[:2]) >= side]
    large_runs = [run for run in runs if min(run.shape[1:3]) >= side]
    if not large_images or (len(runs) and not large_runs):
        raise VidpercError(f"got no {'run' if large_images else 'image'} of {side}x{side} pixels; make `side` smaller")

    def clip(number: int) -> list[Pair]:
        chance = np.random.default_rng((seed, number))
        frames = int(chance.integers(_SHORTEST, _LONGEST + 1))
        if large_runs and chance.random() < share_of_runs:
            large = _cut(large_runs[chance.integers(len(large_runs))], chance, frames, side)
        else:
            large = film(large_images, chance, frames=frames, side=side, size=float(chance.choice(sizes)))
        small = degrade(large, draw_degradation(chance, scale=scale), scale=scale, chance=chance)
        kept = chance.choice(len(large), 2 + number % 2, replace=False)
        return [Pair(large[place].copy(), small[place].copy()) for place in kept]

    with ThreadPoolExecutor(workers) as threads:
        made = threads.map(clip, range(-(-count * 2 // 5) + 1))
        return [pair for pairs in made for pair in pairs][:count]


def _cut(run: ClipPixels, chance: np.random.Generator, frames: int, side: int) -> ClipPixels:
    frames = min(frames, len(run))
    wanted = (frames, side, side)
    start, top, left = (a_place(chance, have, want) for have, want in zip(run.shape[:3], wanted, strict=True))
    return run[start : start + frames, top : top + side, left : left + side]


def save_pairs(pairs: Sequence[Pair], path: Path) -> None:
    """Write pairs of one size to a safetensors file: `large` (N,H,W,3) and `small` (N,h,w,3), uint8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    arrays = {"large": np.stack([p.large for p in pairs]), "small": np.stack([p.small for p in pairs])}
    save_file(arrays, partial)
    partial.replace(path)


def load_pairs(path: Path) -> list[Pair]:
    """The pairs that `save_pairs` wrote.

    Raises VidpercError for a file that cannot be read or holds something else.
    """
    try:
        arrays = load_file(path)
        return [Pair(large, small) for large, small in zip(arrays["large"], arrays["small"], strict=True)]
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise VidpercError(
            f"{path}: holds no pairs ({type(error).__name__}: {error}); make them again with save_pairs"
        ) from error
