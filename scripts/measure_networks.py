"""Measure the shipped networks through the program itself: lossless RGB video in, lossless RGB video out.

    python scripts/measure_networks.py DATA/images [--sets set5 kodak24] [--models ...] [--precision auto] [--json FILE]

Each image is shrunk by antialiased bicubic to 8 bits, becomes a video of one frame, and `vidperc upscale` enlarges it.
Printed is the mean Y-PSNR in dB over the images of a set: limited-range BT.601 luma, as many pixels cut off at each
border as the scale, as the super-resolution papers do.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from av.video.frame import VideoFrame

from vidperc.metrics.psnr import psnr_y601
from vidperc.models.own_card import NAMES, shipped_card
from vidperc.training.images import Pixels, read_images, shrink

RESAMPLING = ("bicubic", "lanczos")


def write_video(image: Pixels, path: Path) -> None:
    """One frame of RGB without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=Fraction(1), options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = image.shape[1], image.shape[0], "rgb24"
        container.mux(stream.encode(VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def read_video(path: Path) -> Pixels:
    with av.open(str(path)) as container:
        return np.asarray(next(container.decode(video=0)).to_ndarray(format="rgb24"), dtype=np.uint8)


def figure(image: Pixels, reference: Pixels, border: int) -> float:
    one, other = (torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255 for pixels in (image, reference))
    return float(psnr_y601(one, other, crop=border))


def measure(model: str, scale: int, images: list[Pixels], precision: str) -> list[float]:
    """Y-PSNR of every image, in dB."""
    with tempfile.TemporaryDirectory(prefix="vidperc-measure-") as name:
        folder = Path(name)
        (folder / "in").mkdir()
        references: list[Pixels] = []
        for place, image in enumerate(images):
            height, width = (side // scale * scale for side in image.shape[:2])
            references.append(np.ascontiguousarray(image[:height, :width]))
            write_video(shrink(references[-1], height // scale, width // scale), folder / "in" / f"{place:03d}.mkv")
        command = [
            sys.executable,
            "-m",
            "vidperc",
            "upscale",
            "in",
            "-o",
            "out/",
            "-m",
            model,
            "-c",
            "libx264rgb",
            "--crf",
            "0",
        ]
        command += ["-s", str(scale), "--precision", precision, "--no-progress"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        results = [read_video(path) for path in sorted((folder / "out").iterdir())]
    return [figure(result, reference, scale) for result, reference in zip(results, references, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=["set5", "kodak24"])
    parser.add_argument("--models", nargs="+", default=[*NAMES, *RESAMPLING])
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found: list[dict[str, object]] = []
    print(f"{'network':20}{'scale':>6}" + "".join(f"{name:>10}" for name in asked.sets))
    for model in asked.models:
        for scale in (2, 4) if model in RESAMPLING else (shipped_card(model).scale,):
            means: dict[str, float] = {}
            for name in asked.sets:
                values = measure(model, scale, read_images([asked.data / name]), asked.precision)
                means[name] = float(np.mean(values))
            print(f"{model:20}{scale:6}" + "".join(f"{mean:10.2f}" for mean in means.values()), flush=True)
            found.append({"model": model, "scale": scale, "precision": asked.precision, **means})
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
