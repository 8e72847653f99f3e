"""Still images as training material: pairs of a large and a small one, and crops drawn anew for every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidperc.errors import VidpercError
from vidperc.ops.resize import resize
from vidperc.video.stills import Pixels, read_still, still_paths


@dataclass(frozen=True)
class Pair:
    """An image and what is left of it: large (H*s,W*s,3) and small (H,W,3), uint8 RGB, aligned to the pixel."""

    large: Pixels
    small: Pixels


def read_images(folders: Sequence[Path], say: Callable[[str], None] | None = None) -> list[Pixels]:
    """Every PNG and JPEG in these folders, (H,W,3) uint8 RGB, in the order of their names.

    say: is told, in one line, what cannot be read and is left out; without it, that is an error.
    Raises VidpercError for a folder that is missing or without images, and where no image can be read.
    """
    found: list[Pixels] = []
    faults: list[str] = []
    paths = [path for folder in folders for path in still_paths(folder)]
    for path in paths:
        try:
            found.append(read_still(path))
        except VidpercError as error:
            if say is None:
                raise
            faults.append(str(error))
    if faults and not found:
        raise VidpercError(faults[0])
    if faults and say is not None:
        more = "; ..." if len(faults) > 3 else ""
        say(f"left out {len(faults)} of {len(paths)} images: {'; '.join(faults[:3])}{more}")
    return found


def shrink(image: Pixels, height: int, width: int) -> Pixels:
    """An image (H,W,3) at another size, (height,width,3), by antialiased bicubic, clamped and rounded to 8 bits."""
    frame = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    small = resize(frame, (height, width), "bicubic").clamp_(0, 255).add_(0.5).to(torch.uint8)
    return small[0].permute(1, 2, 0).contiguous().numpy()


def make_pairs(images: Sequence[Pixels], *, scale: int, sizes: Sequence[float], patch: int) -> list[Pair]:
    """The pairs to crop from: every image at each of the sizes, and bicubic-shrunk by the scale.

    sizes: factors of at most 1; a photograph made smaller is sharper for its size. patch: side of the small crops in
    pixels; what is too small for one is left out. Sides that the scale does not divide are cut.
    """
    pairs: list[Pair] = []
    for image in images:
        for size in sizes:
            height, width = (int(side * size) // scale * scale for side in image.shape[:2])
            if min(height, width) < patch * scale:
                continue
            large = image[:height, :width] if size == 1 else shrink(image, height, width)
            pairs.append(Pair(large, shrink(np.ascontiguousarray(large), height // scale, width // scale)))
    return pairs


def draw(pairs: Sequence[Pair], numbers: range, *, scale: int, patch: int, seed: int) -> tuple[Tensor, Tensor]:
    """The crops of these numbers: small (N,3,p,p) and large (N,3,p*s,p*s), float32 RGB in [0,1].

    patch: side p of the small crops in pixels. Turned and mirrored by chance.
    A crop depends on the seed and its number alone, whatever is drawn with it or was drawn before.
    Larger images are drawn from more often, as the square root of their area.
    """
    areas = np.array([pair.small.shape[0] * pair.small.shape[1] for pair in pairs], dtype=np.float64) ** 0.5
    up_to = (areas / areas.sum()).cumsum()
    up_to[-1] = 1.0  # whatever rounding left of it
    crops = [_crop(pairs, up_to, np.random.default_rng((seed, number)), scale, patch) for number in numbers]
    return _batch([small for small, _ in crops]), _batch([large for _, large in crops])


def _crop(
    pairs: Sequence[Pair], up_to: NDArray[np.float64], chance: np.random.Generator, scale: int, patch: int
) -> tuple[Pixels, Pixels]:
    pair = pairs[int(np.searchsorted(up_to, chance.random(), side="right"))]
    spare: list[int] = [have - patch + 1 for have in pair.small.shape[:2]]
    y, x = (int(chance.integers(places)) for places in spare)
    small = pair.small[y : y + patch, x : x + patch]
    side = patch * scale
    large = pair.large[y * scale : y * scale + side, x * scale : x * scale + side]
    turns, mirrored = int(chance.integers(4)), bool(chance.integers(2))
    small, large = np.rot90(small, turns), np.rot90(large, turns)
    return (small[:, ::-1], large[:, ::-1]) if mirrored else (small, large)


def _batch(crops: list[Pixels]) -> Tensor:
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous().float().div_(255)  # (N, 3, side, side)


def as_tensors(pair: Pair) -> tuple[Tensor, Tensor]:
    """A whole pair as float32 RGB in [0,1]: small (1,3,h,w) and large (1,3,H,W)."""
    return _batch([pair.small]), _batch([pair.large])
