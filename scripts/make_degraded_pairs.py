"""Make the pairs that the networks for real video are trained on, and keep them in one file.

    python scripts/make_degraded_pairs.py OUT --images FOLDER ... [--videos FILE ...] [--scale 2] [--count 3000]

Every pair is a clean large frame and what blur, shrinking, noise and a video encoder left of it. Name only images and
videos that a network which is given away may learn from. --sheet writes a picture of some pairs, small beside large.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from PIL import Image

from vidperc.errors import VidpercError
from vidperc.training.clips import read_runs
from vidperc.training.degrade import make_degraded_pairs, save_pairs
from vidperc.training.images import Pair, read_images


def sheet(pairs: Sequence[Pair], columns: int) -> Image.Image:
    """Pairs beside each other: the small frame enlarged by repeating its pixels, then the large one."""
    tiles: list[np.ndarray] = []
    for pair in pairs:
        scale = len(pair.large) // len(pair.small)
        tiles.append(np.concatenate([pair.small.repeat(scale, 0).repeat(scale, 1), pair.large], axis=1))
    rows = [np.concatenate(tiles[at : at + columns], axis=1) for at in range(0, len(tiles), columns)]
    return Image.fromarray(np.concatenate([row for row in rows if row.shape == rows[0].shape]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="a .safetensors file")
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders")
    parser.add_argument("--videos", type=Path, nargs="*", default=[], help="files; shrunk by 2 before they serve")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--side", type=int, default=208, help="of the large frames, in pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--sheet", type=Path, help="a .png file")
    asked = parser.parse_args()
    began, spent = perf_counter(), process_time()
    try:
        pairs = make_degraded_pairs(
            read_images(asked.images),
            scale=asked.scale,
            count=asked.count,
            seed=asked.seed,
            side=asked.side,
            runs=[run for path in asked.videos for run in read_runs(path, runs=12, frames=12)],
            workers=asked.workers,
        )
    except VidpercError as error:
        sys.exit(str(error))
    save_pairs(pairs, asked.out)
    if asked.sheet is not None:
        chosen: list[int] = np.random.default_rng(0).choice(len(pairs), min(12, len(pairs)), replace=False).tolist()
        sheet([pairs[place] for place in chosen], 3).save(asked.sheet)
    taken = f"{perf_counter() - began:.0f} s, {process_time() - spent:.0f} s of CPU"
    print(f"{asked.out}: {len(pairs)} pairs, {asked.out.stat().st_size / 2**20:.0f} MiB, {taken}")


if __name__ == "__main__":
    main()
