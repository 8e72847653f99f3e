"""Files of small recurrent networks, as training would write them, for the tests that run them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from vidperc.models.recurrent import RecurrentShape
from vidperc.models.settle import measure_settle
from vidperc.models.trainable_recurrent import TrainableRecurrent

SHAPE = RecurrentShape(scale=2, channels=12, depth=2, state=3)


def recurrent_network(shape: RecurrentShape = SHAPE, *, expand: int = 0, seed: int = 0) -> TrainableRecurrent:
    """One that has not learnt anything, but in which all that it sees and keeps counts."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = TrainableRecurrent(shape, expand=expand)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter += 0.05 * torch.randn(parameter.shape)
            made.convolutions()[-1].bias[-1] = 0  # much of the memory is shown
    return made


def save_recurrent(
    path: Path,
    network: TrainableRecurrent | None = None,
    *,
    settle: int | None = None,
    weights: dict[str, Tensor] | None = None,
) -> Path:
    """A file of the network with the card that training gives it; settle: measured unless it is given."""
    network = recurrent_network() if network is None else network
    found = network.folded()
    shape = network.shape
    facts = {
        "architecture": "recurrent",
        "name": path.stem,
        "summary": "for a test",
        "scale": shape.scale,
        "parameters": shape.parameters,
        "channels": shape.channels,
        "reach": shape.reach,
        "state": shape.state,
        "settle": measure_settle(shape, found) if settle is None else settle,
        "licence": "CC0-1.0",
        "data": "nothing",
        "steps": 0,
        "seed": 0,
        "command": "",
        "figures": "",
    }
    save_file(found if weights is None else weights, path, metadata={key: str(value) for key, value in facts.items()})
    return path
