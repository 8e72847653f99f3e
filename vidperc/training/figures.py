"""What is measured of a network at every checkpoint, on pictures that it never learns from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.metrics.networks import open_networks
from vidperc.ops.color import rgb_luma
from vidperc.ops.resize import resize
from vidperc.perception.lpips import Lpips
from vidperc.training.clip_batch import ClipBatch
from vidperc.training.images import Pair, as_tensors
from vidperc.training.luma import picture_psnr
from vidperc.training.students import enlarged

Measure = Callable[[nn.Module], dict[str, float]]


def open_lpips(say: Callable[[str], None]) -> Lpips | None:
    """LPIPS with SqueezeNet, which nothing is trained on; None, said in a line, where its weights cannot be had."""
    try:
        return open_networks(["lpips"]).lpips
    except VidpercError as error:
        say(f"LPIPS is not measured: {error}")
        return None


def figures_of_stills(sets: Mapping[str, Sequence[Pair]], lpips: Lpips | None) -> Measure:
    """A measure: of each named set of pairs the mean Y-PSNR in dB, and LPIPS where that is there."""
    batches = {name: [ClipBatch.of_stills(*as_tensors(pair)) for pair in pairs] for name, pairs in sets.items()}

    @torch.no_grad()
    def measure(network: nn.Module) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, pictures in batches.items():
            psnrs: list[float] = []
            apart: list[float] = []
            for batch in pictures:
                made, true = enlarged(network, batch)[:, 0], batch.large[:, 0]
                psnrs.append(picture_psnr(rgb_luma(made), rgb_luma(true), crop=batch.scale))
                if lpips is not None:
                    apart.append(float(lpips(made.clamp(0, 1), true)))
            found[f"{name} Y-PSNR"] = sum(psnrs) / len(psnrs)
            if apart:
                found[f"{name} LPIPS"] = sum(apart) / len(apart)
        return found

    return measure


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
