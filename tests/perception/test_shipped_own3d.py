"""The 3D network that comes along, as it is."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from vidperc.perception.own3d import own3d_card, read_own3d, shipped_own3d


def test_the_file_that_comes_along_is_small_and_says_what_it_is_made_of() -> None:
    card = own3d_card()
    assert shipped_own3d().stat().st_size < 500_000
    assert all(value.dtype == torch.float16 for value in load_file(shipped_own3d()).values())
    assert card.parameters == sum(value.numel() for value in read_own3d().parameters())
    assert card.command == "vidperc train own-3d --data DATA --out FOLDER"
    assert card.figures.startswith("on held-out scenes: backwards ")
    for source in ("Big Buck Bunny", "CC-BY 3.0", "intel-iot-devkit", "CC-BY 4.0", "MDN", "CC0"):
        assert source in card.data


def test_the_layers_that_come_along_are_about_as_large_as_each_other() -> None:
    smooth = F.interpolate(
        torch.rand(1, 3, 4, 6, 6, generator=torch.Generator().manual_seed(3)), (16, 96, 96), mode="trilinear"
    )
    for name, features in read_own3d()(smooth.transpose(1, 2)).items():
        assert 0.1 < float(features.square().mean().sqrt()) < 10, name
