"""Small networks with made-up weights, in the place of those that metrics look with."""

from __future__ import annotations

import torch
from torch import nn

from tests.perception.made_up import small_lpips
from vidperc.metrics.networks import Networks


class MadeUpDists(nn.Module):
    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return (one - other).abs().mean(dim=(1, 2, 3))


class MadeUpVideoNetwork(nn.Module):
    """The mean of each channel of a clip, and how much it changes."""

    name, layers = "made-up", ("only",)

    def forward(self, clip: torch.Tensor) -> dict[str, torch.Tensor]:
        change = (clip[:, 1:] - clip[:, :-1]).abs().mean(dim=(1, 3, 4))
        return {"only": torch.cat([clip.mean(dim=(1, 3, 4)), change], dim=1)[..., None, None, None]}


def networks() -> Networks:
    return Networks(lpips=small_lpips(4, 6), dists=MadeUpDists(), video_backbone=MadeUpVideoNetwork())
