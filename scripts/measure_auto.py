"""Measure whether `-m auto` chooses well: what each of two networks gives of clips that codecs were through.

    python scripts/measure_auto.py CLIP ... [--weights FOLDER] [--frames 48] [--looks 3]
                                   [--networks fast-x2 fast-x2-real] [--json FILE]

The first frames of each clip are shrunk to half by bicubic, encoded by each codec at several qualities, decoded and
enlarged again by a network for clean pictures and by one for compressed ones. For each file: what a look at it finds
(`vidperc/video/compression.py`), and what the second network gains over the first, in dB of Y-PSNR and, with weights,
in LPIPS by SqueezeNet. At the end, what is lost against the better of both, in dB on average, by taking always one of
them, as `-m auto` does, and at best by a bound of the codec's quantiser alone, or of bits per pixel.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, cast

import av
import torch
from av.video.frame import VideoFrame
from torch import Tensor

from vidperc.errors import VidpercError
from vidperc.metrics.psnr import psnr_y601
from vidperc.models.load import load_model
from vidperc.perception.lpips import Lpips, load_lpips
from vidperc.placement import Placement
from vidperc.training.clips import to_pixels
from vidperc.training.images import Pixels, shrink
from vidperc.video.compression import look_at_compression
from vidperc.video.index import index_frames
from vidperc.video.probe import probe
from vidperc.video.rgb import read_rgb

if TYPE_CHECKING:
    from av.video.stream import VideoStream

# Encoders, the option that sets their quality, values of it, and further options.
CODECS: dict[str, tuple[str, tuple[int, ...], dict[str, str]]] = {
    "libx264": ("crf", (14, 18, 22, 26, 30), {"preset": "medium"}),
    "libx265": ("crf", (18, 24, 30), {"preset": "fast", "x265-params": "log-level=error"}),
    "libvpx-vp9": ("crf", (20, 32, 42), {"cpu-used": "5", "b": "0"}),
    "libsvtav1": ("crf", (24, 38, 50), {"preset": "9"}),
    "mpeg4": ("qscale", (2, 4, 8), {}),
    "mpeg2video": ("qscale", (2, 4, 8), {}),
}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A file, what a look at it found, and what the network for compressed pictures gains on it over the other."""

    clip: str
    encoder: str
    quality: int
    codec: str
    bits_per_pixel: float
    quantiser: float | None
    blockiness: float
    shows: bool
    decibels: float
    lpips: float | None


def encode(pictures: Sequence[Pixels], path: Path, encoder: str, quality: int) -> None:
    option, _, others = CODECS[encoder]
    with av.open(str(path), "w") as container:
        made = container.add_stream(encoder, rate=Fraction(25), options={**others, option: str(quality)})
        stream = cast("VideoStream", made)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        if option == "qscale":
            stream.codec_context.qmin = stream.codec_context.qmax = quality
        for picture in pictures:
            container.mux(stream.encode(VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def cells(clip: Path, asked: argparse.Namespace, lpips: Lpips | None) -> Iterator[Cell]:
    """What every codec at every quality leaves of a clip. Raises VidpercError for one that cannot be read."""
    clean, mending = (load_model(name, 2, Placement(precision="float32")) for name in asked.networks)
    true: list[Pixels] = []
    for frame in islice(read_rgb(clip), asked.frames):
        height, width = (side // 4 * 4 for side in frame.shape[1:])
        true.append(to_pixels(frame[None, :, :height, :width])[0])
    small = [shrink(frame, frame.shape[0] // 2, frame.shape[1] // 2) for frame in true]
    places = {len(true) * (2 * look + 1) // (2 * asked.looks) for look in range(asked.looks)}
    for encoder, (_, qualities, _) in CODECS.items():
        for quality in qualities:
            with tempfile.TemporaryDirectory(prefix="vidperc-auto-") as name:
                path = Path(name) / "clip.mkv"
                encode(small, path, encoder, quality)
                found = look_at_compression(path, probe(path), index_frames(path))
                decibels: list[float] = []
                nearer: list[float] = []
                for place, frame in enumerate(read_rgb(path)):
                    if place in places:
                        wanted = picture_of(true[place])
                        made = [model(frame[None]).clamp(0, 1) for model in (clean, mending)]
                        one, other = (float(psnr_y601(picture, wanted, crop=2)) for picture in made)
                        decibels.append(other - one)
                        if lpips is not None:
                            one, other = (float(lpips(picture, wanted)) for picture in made)
                            nearer.append(other - one)
            assert found.bits_per_pixel is not None  # of a file with packets
            yield Cell(
                clip=clip.name,
                encoder=encoder,
                quality=quality,
                codec=found.codec,
                bits_per_pixel=found.bits_per_pixel,
                quantiser=found.quantiser,
                blockiness=found.blockiness,
                shows=found.shows,
                decibels=fmean(decibels),
                lpips=fmean(nearer) if nearer else None,
            )


def picture_of(pixels: Pixels) -> Tensor:
    """8-bit RGB (H,W,3) as (1,3,H,W) in [0,1]."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def lost(found: Sequence[Cell], takes: Callable[[Cell], bool]) -> float:
    """What is lost against the better network, in dB on average, where a rule says when the second is taken."""
    return fmean(max(cell.decibels, 0) - (cell.decibels if takes(cell) else 0) for cell in found)


def best_bound(found: Sequence[Cell]) -> tuple[float, float]:
    """The bound of quantisers, else of bits per pixel, that loses least, and what that loses."""
    values = sorted(map(_coarseness, found))
    between = [values[0] - 1, *((one + other) / 2 for one, other in pairwise(values)), values[-1] + 1]

    def loses(bound: float) -> float:
        return lost(found, lambda cell: _coarseness(cell) > bound)

    best = min(between, key=loses)
    return abs(best), loses(best)


def _coarseness(cell: Cell) -> float:
    return -cell.bits_per_pixel if cell.quantiser is None else cell.quantiser


def _never(_: Cell) -> bool:
    return False


def _always(_: Cell) -> bool:
    return True


def _as_auto(cell: Cell) -> bool:
    return cell.shows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path, help="the folder of LPIPS's weights")
    parser.add_argument("--frames", type=int, default=48, help="of each clip, from its start")
    parser.add_argument("--looks", type=int, default=3, help="frames that are enlarged, of those")
    parser.add_argument("--networks", nargs=2, default=["fast-x2", "fast-x2-real"])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    found: list[Cell] = []
    try:
        lpips = None if asked.weights is None else load_lpips(asked.weights)
        for clip in asked.clips:
            for cell in cells(clip, asked, lpips):
                found.append(cell)
                print(
                    f"{cell.clip:28} {cell.encoder:11} {cell.quality:3} {cell.bits_per_pixel:7.3f} bits a pixel, "
                    + ("" if cell.quantiser is None else f"quantiser {cell.quantiser:.1f}, ")
                    + f"blockiness {cell.blockiness:.2f}, gain {cell.decibels:+.2f} dB"
                    + ("" if cell.lpips is None else f" / {cell.lpips:+.4f}")
                    + (", taken" if cell.shows else ""),
                    flush=True,
                )
    except VidpercError as error:
        sys.exit(str(error))
    print(f"\n{'lost, dB':12}{'clean':>8}{'mending':>8}{'auto':>8}{'best':>8}  with a bound of")
    for codec in dict.fromkeys(cell.codec for cell in found):
        of_codec = [cell for cell in found if cell.codec == codec]
        bound, least = best_bound(of_codec)
        figures = (lost(of_codec, _never), lost(of_codec, _always), lost(of_codec, _as_auto), least)
        print(f"{codec:12}" + "".join(f"{figure:8.3f}" for figure in figures) + f"  {bound:.3f}")
    print(f"{'all':12}" + "".join(f"{lost(found, rule):8.3f}" for rule in (_never, _always, _as_auto)))
    if asked.json is not None:
        asked.json.write_text(json.dumps([asdict(cell) for cell in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
