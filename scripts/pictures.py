"""Make the pictures of the README, each through the command line of vidperc.

    python scripts/pictures.py SOURCE [OUT] [-m standard-x4] [--at SECONDS] [--lines N] [--crop X,Y,W,H]

comparison.png: a part of a frame of SOURCE, reduced to --lines lines and then enlarged: by bicubic, by the network, and
beside them the frame as it was before it was reduced, brought to the same size.
demo.png: a part of the first frame of `make demo`, its pixels repeated, and enlarged.
Needs the installed vidperc. The source's times must begin at 0.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # (H,W,3) RGB
Part = tuple[int, int, int, int]  # left, top, width and height in pixels of the enlarged picture

REDUCE = """\
name: reduce
stages:
  - kind: resize
    resolution: {lines}
"""
DEMO_PART: Part = (140, 36, 440, 190)
GAP = 8  # white pixels between two parts


def vidperc(*words: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "vidperc", *map(str, words), "-y", "--no-progress"], check=True)


def frame_at(path: Path, seconds: float = 0.0) -> VideoFrame:
    """The first frame that is shown at this time or later."""
    with av.open(str(path)) as container:
        return next(frame for frame in container.decode(video=0) if (frame.time or 0.0) >= seconds)


def rgb(frame: VideoFrame) -> Picture:
    return frame.to_ndarray(format="rgb24").astype(np.uint8)


def write_side_by_side(path: Path, pictures: list[Picture], part: Part) -> None:
    """Write the same part of every picture, from left to right, as a PNG."""
    left, top, width, height = part
    gap = np.full((height, GAP, 3), 255, np.uint8)
    pieces = [gap]
    for picture in pictures:
        pieces += [picture[top : top + height, left : left + width], gap]
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(np.concatenate(pieces[1:-1], axis=1)), format="rgb24")
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", options={"pred": "mixed", "compression_level": "9"})
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "rgb24"
        container.mux([*stream.encode(frame), *stream.encode(None)])
    print(f"{path}: {frame.width}x{frame.height}, {path.stat().st_size / 1000:.0f} kB")


def comparison(source: Path, model: str, at: float, lines: int, folder: Path) -> list[Picture]:
    pipeline, small = folder / "reduce.yaml", folder / "small.mkv"
    pipeline.write_text(REDUCE.format(lines=lines))
    excerpt = ("--start", f"{at}", "--sample", "0.1", "--no-audio")
    vidperc("run", pipeline, source, "-o", small, *excerpt, "-c", "ffv1")
    vidperc("upscale", small, "-m", model, "-o", folder / "network.mkv")
    network = rgb(frame_at(folder / "network.mkv"))
    scale = network.shape[0] // lines
    vidperc("upscale", small, "-m", "bicubic", "-s", f"{scale}", "-o", folder / "bicubic.mkv")
    height, width, _ = network.shape
    before = frame_at(source, at).reformat(width=width, height=height, format="rgb24", interpolation="BICUBIC")
    return [rgb(frame_at(folder / "bicubic.mkv")), network, rgb(before)]


def demo(folder: Path) -> list[Picture]:
    clip, enlarged = folder / "sample.mp4", folder / "sample_x2.mkv"
    script = Path(__file__).with_name("sample_clip.py")
    subprocess.run([sys.executable, str(script), str(clip)], check=True, stdout=subprocess.DEVNULL)
    vidperc("upscale", clip, "-o", enlarged)
    before = rgb(frame_at(clip))
    return [before.repeat(2, axis=0).repeat(2, axis=1), rgb(frame_at(enlarged))]


def part_of(text: str) -> Part:
    left, top, width, height = map(int, text.split(","))
    return left, top, width, height


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path, nargs="?", default=Path("docs/pictures"))
    parser.add_argument("-m", "--model", default="standard-x4", help="a network that enlarges four times, or a file")
    parser.add_argument("--at", type=float, default=4.9)
    parser.add_argument("--lines", type=int, default=180)
    parser.add_argument("--crop", type=part_of, default=(540, 230, 290, 290))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="vidperc-pictures-") as name:
        folder = Path(name)
        pictures = comparison(asked.source, asked.model, asked.at, asked.lines, folder)
        write_side_by_side(asked.out / "comparison.png", pictures, asked.crop)
        write_side_by_side(asked.out / "demo.png", demo(folder), DEMO_PART)


if __name__ == "__main__":
    main()
