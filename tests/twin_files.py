"""Files of small image networks and of their perceptual twins, as training would write them, for the tests of both."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from vidperc.models.luma import LumaShape, TrainableLuma

SHAPE = LumaShape(scale=2, channels=8, depth=2)


def save_luma(path: Path, shape: LumaShape = SHAPE, *, seed: int = 0, half: bool = False) -> Path:
    """A file of an image network that has not learnt anything, with the card that training gives it.

    half: its weights in float16, as shipped ones are.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        weights = TrainableLuma(shape, expand=0).folded()
        weights = {name: tensor + 0.05 * torch.randn(tensor.shape) for name, tensor in weights.items()}
    facts = {
        "architecture": "luma",
        "name": path.stem,
        "summary": "for a test",
        "scale": shape.scale,
        "parameters": shape.parameters,
        "channels": shape.channels,
        "reach": shape.reach,
        "licence": "CC0-1.0",
        "data": "nothing",
        "steps": 0,
        "seed": seed,
        "command": "",
        "figures": "",
    }
    weights = {name: tensor.half() if half else tensor for name, tensor in weights.items()}
    save_file(weights, path, metadata={key: str(value) for key, value in facts.items()})
    return path


def save_pair(folder: Path, name: str = "mine", shape: LumaShape = SHAPE, *, half: bool = False) -> Path:
    """The files of a network and of its perceptual twin, which has other weights. Returns that of the network."""
    save_luma(folder / f"{name}-perceptual.safetensors", shape, seed=1, half=half)
    return save_luma(folder / f"{name}.safetensors", shape, half=half)


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    """The weights in a file, float32."""
    return {name: tensor.float() for name, tensor in load_file(path).items()}
