"""Networks with made-up weights, for tests that need no trained ones."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from vidperc.perception.backbone import Backbone, Trunk
from vidperc.perception.lpips import TRUNKS, Lpips
from vidperc.perception.networks import IMAGENET_MEAN, IMAGENET_SPREAD, NETWORKS
from vidperc.perception.weights import LPIPS_HEADS


def small_backbone(*widths: int, seed: int = 0) -> Backbone:
    """Strided convolutions of these widths; its layers are relu1, relu2, ..."""
    torch.manual_seed(seed)
    steps: dict[str, nn.Module] = {}
    before = 3
    for place, width in enumerate(widths, 1):
        steps[f"conv{place}"], steps[f"relu{place}"] = nn.Conv2d(before, width, 3, 2), nn.ReLU()
        before = width
    strides = {f"relu{place}": 2**place for place in range(1, len(widths) + 1)}
    body = Trunk(steps, {}, tuple(strides))
    return Backbone("made-up", body, strides=strides, smallest=16, mean=IMAGENET_MEAN, spread=IMAGENET_SPREAD)


def small_lpips(*widths: int, seed: int = 0) -> Lpips:
    """LPIPS over `small_backbone`."""
    backbone = small_backbone(*widths, seed=seed)
    return Lpips(backbone, [torch.rand(1, width, 1, 1) for width in widths])


def random_weights(name: str, *, seed: int = 0) -> dict[str, Tensor]:
    """Weights for the layers of a network in NETWORKS, such that features neither vanish nor grow with depth."""
    with torch.device("meta"):
        network = NETWORKS[name].build()
    places = {*NETWORKS[name].layers(network).values(), *NETWORKS[name].heads.values()}
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {}
    for key, value in network.state_dict().items():
        if not any(key.startswith(f"{place}.") for place in places):
            continue
        if value.ndim == 4:
            found[key] = torch.randn(value.shape, generator=generator) * (2 / value[0].numel()) ** 0.5
        elif key.endswith("num_batches_tracked"):
            found[key] = torch.tensor(1)
        else:  # biases and what batch norms hold; variances and scales near 1
            near = 1.0 if key.endswith("running_var") or (".bn" in f".{key}" and key.endswith("weight")) else 0.0
            found[key] = near + 0.1 * torch.rand(value.shape, generator=generator)
    return found


def write_random_weights(name: str, folder: Path, *, seed: int = 0) -> Path:
    """Those in a file under the name that torchvision gives it."""
    path = folder / NETWORKS[name].weights.name
    torch.save(random_weights(name, seed=seed), path)
    return path


def write_random_lpips(trunk: str, folder: Path, *, seed: int = 0) -> None:
    """A trunk and heads, in files as `load_lpips` finds them."""
    write_random_weights(TRUNKS[trunk].backbone, folder, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    widths = {"squeeze": (64, 128, 256, 384, 384, 512, 512), "alex": (64, 192, 384, 256, 256)}
    heads = {
        f"lin{place}.model.1.weight": torch.rand((1, width, 1, 1), generator=generator)
        for place, width in enumerate(widths.get(trunk, (64, 128, 256, 512, 512)))
    }
    torch.save(heads, folder / LPIPS_HEADS[trunk].name)
