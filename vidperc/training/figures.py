"""What is measured of a network at every checkpoint, on pictures and clips that it never learns from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidperc.clip import Motion
from vidperc.errors import VidpercError
from vidperc.metrics.networks import open_networks
from vidperc.metrics.tof import tof
from vidperc.metrics.warping_error import warping_error
from vidperc.ops.color import rgb_luma
from vidperc.ops.resize import resize
from vidperc.perception.lpips import Lpips
from vidperc.training.clip_batch import ClipBatch
from vidperc.training.log import HeldOut
from vidperc.training.luma import picture_psnr
from vidperc.training.students import enlarged

_SHOWN = 3  # pictures of each set in the log

Measure = Callable[[nn.Module], dict[str, float]]


def open_lpips(say: Callable[[str], None]) -> Lpips | None:
    """LPIPS with SqueezeNet, which nothing is trained on; None, said in a line, where its weights cannot be had."""
    try:
        return open_networks(["lpips"]).lpips
    except VidpercError as error:
        say(f"LPIPS is not measured: {error}")
        return None


def measure_of(held_out: Mapping[str, Sequence[ClipBatch]], lpips: Lpips | None) -> Measure:
    """A measure: the mean figures of each named set, of pictures (clips of one frame) or clips.

    Y-PSNR in dB, of clips the warping error (times 1000) and tOF in pixels besides, and LPIPS where that is there: of
    the middle frame of each clip.
    """

    @torch.no_grad()
    def measure(network: nn.Module) -> dict[str, float]:
        found: dict[str, list[float]] = {}
        for name, batches in held_out.items():
            for batch in batches:
                clips = enlarged(network, batch).clamp(0, 1)
                for made, true, motion in zip(clips, batch.large, batch.motion(), strict=True):
                    for what, figure in of_clip(made, true, motion, batch.scale, lpips).items():
                        found.setdefault(f"{name} {what}", []).append(figure)
        return {name: sum(figures) / len(figures) for name, figures in found.items()}

    return measure


@torch.no_grad()
def pictures_of(held_out: Mapping[str, Sequence[ClipBatch]], network: nn.Module) -> list[HeldOut]:
    """What a network makes of the first pictures of each set, for the log."""
    shown: list[HeldOut] = []
    for name, batches in held_out.items():
        for place, batch in enumerate(batches[:_SHOWN]):
            first = ClipBatch(batch.small[:1], batch.large[:1], batch.flow[:1], batch.visible[:1])
            made = enlarged(network, first)
            last = made.shape[1] - 1
            title = f"{name} {place + 1}" + (f", frame {last + 1}" if last else "")
            small, made, true = (pixels(clips[0, last]) for clips in (first.small, made, first.large))
            shown.append(HeldOut(title, small, made, true))
    return shown


def pixels(picture: Tensor) -> NDArray[np.uint8]:
    codes = picture.clamp(0, 1).mul(255).add(0.5).to(torch.uint8)
    return codes.permute(1, 2, 0).contiguous().numpy()  # (H, W, 3)


def of_clip(made: Tensor, true: Tensor, motion: Motion, scale: int, lpips: Lpips | None) -> dict[str, float]:
    """Of a clip (T,3,H,W) and the true one."""
    found = {"Y-PSNR": picture_psnr(rgb_luma(made), rgb_luma(true), crop=scale)}
    pairs = range(1, len(made))
    errors = [warping_error(made[t - 1], made[t], motion.part(t, t + 1)) for t in pairs]
    seen = [error for error in errors if error is not None]
    if seen:
        found["warping error"] = 1000 * sum(seen) / len(seen)
    if len(made) > 1:
        moved = [tof((made[t - 1], true[t - 1]), (made[t], true[t])) for t in pairs]
        found["tOF"] = sum(moved) / len(moved)
    if lpips is not None:
        middle = slice(len(made) // 2, len(made) // 2 + 1)
        found["LPIPS"] = float(lpips(made[middle], true[middle]))
    return found


class Bicubic(nn.Module):
    """What a network is held against."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, frames: Tensor) -> Tensor:
        return resize(frames, (frames.shape[-2] * self.scale, frames.shape[-1] * self.scale), "bicubic")


def told_beside(made: Mapping[str, float], bicubic: Mapping[str, float]) -> str:
    """Figures as a card has them: of a network, and of bicubic in brackets."""
    return ", ".join(f"{name} {_told(name, made[name])} (bicubic {_told(name, bicubic[name])})" for name in made)


def _told(name: str, figure: float) -> str:
    return f"{figure:.2f} dB" if name.endswith("PSNR") else f"{figure:.4f}"
