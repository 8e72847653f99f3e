"""How near upscaled videos come to the one they were made small from: PSNR and LPIPS.

    python scripts/compare_upscales.py REFERENCE VIDEO ... --weights FOLDER [--every 4] [--frames N] [--crop 2]

Frames are compared in their order, whatever their times, as 8-bit RGB. For each frame and then the mean:
psnr@rgb       of R, G and B together, in dB, at most 100
psnr@y601      of limited-range BT.601 luma out of that RGB, in dB, at most 100
lpips@squeeze  version 0.1; only with --weights, a folder that holds squeezenet1_1_torchvision/ and lpips_lin_v0.1/
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import islice, zip_longest
from pathlib import Path
from statistics import fmean

import torch

from vidperc.errors import VidpercError
from vidperc.metrics.psnr import psnr_rgb, psnr_y601, rgb_codes
from vidperc.perception.lpips import Lpips, load_lpips
from vidperc.video.rgb import read_rgb


@torch.inference_mode()
def compare(
    reference: Path, videos: Sequence[Path], *, lpips: Lpips | None, every: int, frames: int | None, crop: int
) -> dict[str, dict[str, float]]:
    """The means for each video, and the number of frames, by the path.

    lpips: taken of every so many frames. frames: only so many from the start. crop: pixels left out at each border.
    Raises VidpercError for videos that are not of the reference's size and length.
    """
    found: dict[str, dict[str, list[float]]] = {str(path): {} for path in videos}
    readers = [islice(read_rgb(path), frames) for path in (reference, *videos)]
    for place, pictures in enumerate(zip_longest(*readers)):
        whole = pictures[0]
        for path, picture in zip((reference, *videos), pictures, strict=True):
            if picture is None or whole is None:
                short = path if picture is None else reference
                raise VidpercError(f"{short}: ends after {place} frames, and others go on; wanted videos of one length")
            if picture.shape != whole.shape:
                got, wanted = (f"{frame.shape[2]}x{frame.shape[1]}" for frame in (picture, whole))
                raise VidpercError(f"{path}: frame {place} is {got}, wanted {wanted} as in {reference}")
        inside = slice(crop, -crop or None)
        true, *made = (rgb_codes(picture[None, :, inside, inside]) / 255 for picture in pictures)  # (1, 3, h, w)
        for path, frame in zip(videos, made, strict=True):
            figures = {"psnr@rgb": float(psnr_rgb(frame, true)), "psnr@y601": float(psnr_y601(frame, true))}
            if lpips is not None and place % every == 0:
                figures["lpips@squeeze"] = float(lpips(frame, true))
            for name, figure in figures.items():
                found[str(path)].setdefault(name, []).append(figure)
    return {
        path: {"frames": len(figures["psnr@rgb"]), **{name: fmean(each) for name, each in figures.items()}}
        for path, figures in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path, help="the folder of LPIPS's weights")
    parser.add_argument("--every", type=int, default=1, help="LPIPS of every so many frames")
    parser.add_argument("--frames", type=int, help="only so many from the start")
    parser.add_argument("--crop", type=int, default=0, help="leave out so many pixels at each border")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    if asked.every < 1 or asked.crop < 0 or (asked.frames is not None and asked.frames < 1):
        parser.error("--every, --frames: wanted at least 1; --crop: wanted at least 0")
    try:
        lpips = None if asked.weights is None else load_lpips(asked.weights)
        found = compare(
            asked.reference, asked.videos, lpips=lpips, every=asked.every, frames=asked.frames, crop=asked.crop
        )
    except VidpercError as error:
        sys.exit(str(error))
    wide = max(len(Path(path).name) for path in found)
    names = list(next(iter(found.values())))
    print(f"{'video':{wide}}" + "".join(f"{name:>15}" for name in names))
    for path, figures in found.items():
        shown = [f"{figures[n]:15.0f}" if n == "frames" else f"{figures[n]:15.4f}" for n in names]
        print(f"{Path(path).name:{wide}}" + "".join(shown))
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
