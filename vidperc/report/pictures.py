"""Pictures inside a page: PNG as data URIs, and strips of what was given, what was made of it, and the truth."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vidperc.metrics.psnr import EQUAL_DB, psnr_y601
from vidperc.ops.resize import resize

Pixels = NDArray[np.uint8]  # (H,W,3) RGB


@dataclass(frozen=True)
class Shown:
    """A picture in a page: its data URI, and the line under it."""

    uri: str
    note: str


@dataclass(frozen=True)
class Strip:
    """The same part of a picture: given, enlarged by bicubic; as the network made it; as it truly is."""

    title: str
    side: int
    given: Shown
    made: Shown
    truth: Shown


@dataclass(frozen=True)
class Walk:
    """The same part of pictures of one frame that are made in several ways, by the names of those, in their order."""

    title: str
    side: int
    shown: Mapping[str, Shown]


def strip(title: str, small: Pixels, made: Pixels, true: Pixels, *, side: int) -> Strip:
    """The part in which bicubic lacks most, a square of at most `side` pixels.

    small: (h,w,3). made, true: (h*s,w*s,3), for a whole factor s. The notes are the Y-PSNR of the whole pictures as the
    papers take it, `psnr@y601` with s pixels cut off at each border. Raises ValueError for sizes that do not fit.
    """
    scale = true.shape[0] // small.shape[0]
    if made.shape != true.shape or true.shape != (small.shape[0] * scale, small.shape[1] * scale, 3):
        raise ValueError(f"{title}: got {small.shape}, {made.shape} and {true.shape}, wanted one and a multiple, twice")
    given = resize(_frame(small), (true.shape[0], true.shape[1]), "bicubic").clamp(0, 1)
    side = min(side, *true.shape[:2])
    top, left = _most_different(given, _frame(true), side)
    part = np.s_[top : top + side, left : left + side]
    codes = given[0].mul(255).round_().byte().permute(1, 2, 0).numpy()
    return Strip(
        title,
        side,
        Shown(png_uri(codes[part]), _note(given, _frame(true), scale)),
        Shown(png_uri(made[part]), _note(_frame(made), _frame(true), scale)),
        Shown(png_uri(true[part]), "original"),
    )


def walk(title: str, small: Pixels, made: Mapping[str, Pixels], true: Pixels, *, side: int) -> Walk:
    """Bicubic, what was made, and the truth: the part in which the first and the last made differ most.

    small: (h,w,3). made, true: (h*s,w*s,3), for a whole factor s. side, notes: as for `strip`.
    Raises ValueError for sizes that do not fit.
    """
    scale = true.shape[0] // small.shape[0]
    if {picture.shape for picture in (*made.values(), true)} != {(small.shape[0] * scale, small.shape[1] * scale, 3)}:
        raise ValueError(f"{title}: got {small.shape} and {true.shape}, wanted pictures of one size and a multiple")
    side = min(side, *true.shape[:2])
    first, *_, last = (_frame(picture) for picture in made.values())
    top, left = _most_different(first, last, side)
    part = np.s_[top : top + side, left : left + side]
    given = resize(_frame(small), (true.shape[0], true.shape[1]), "bicubic").clamp(0, 1)
    pictures = {"bicubic": given[0].mul(255).round_().byte().permute(1, 2, 0).numpy(), **made}
    shown = {name: Shown(png_uri(one[part]), _note(_frame(one), _frame(true), scale)) for name, one in pictures.items()}
    return Walk(title, side, {**shown, "truth": Shown(png_uri(true[part]), "original")})


def png_uri(picture: Pixels) -> str:
    """A picture (H,W,3) as a data URI, without loss."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _frame(picture: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float().div_(255)  # (1, 3, H, W)


def _note(made: Tensor, true: Tensor, scale: int) -> str:
    found = float(psnr_y601(made, true, crop=scale))
    return "no difference" if found >= EQUAL_DB else f"{found:.2f} dB"


def _most_different(one: Tensor, other: Tensor, side: int) -> tuple[int, int]:
    """Top and left of the square in which two frames (1,3,H,W) differ most."""
    error = (one - other).double().square().sum(dim=(0, 1))  # (H, W)
    sums = torch.nn.functional.pad(error.cumsum(0).cumsum(1), (1, 0, 1, 0))
    within = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    place = int(within.argmax())
    return place // within.shape[1], place % within.shape[1]
