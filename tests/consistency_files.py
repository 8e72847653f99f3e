"""Files of small consistency networks, as training would write them, for the tests that run them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from vidperc.models.consistency import ConsistencyShape, TrainableConsistency
from vidperc.models.settle import measure_consistency_settle

SHAPE = ConsistencyShape(channels=16, depth=1)


def consistency_network(*, expand: int = 0, seed: int = 0) -> TrainableConsistency:
    """One that has not learnt anything, but which answers with more than nothing everywhere."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = TrainableConsistency(SHAPE, expand=expand)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter += 0.05 * torch.randn(parameter.shape)
    return made


def save_consistency(path: Path, network: TrainableConsistency | None = None) -> Path:
    """A file of the network with the card that training gives it, its settling measured."""
    network = consistency_network() if network is None else network
    found, shape = network.folded(), network.shape
    facts = {
        "architecture": "consistency",
        "name": path.stem,
        "summary": "for a test",
        "scale": 1,
        "parameters": shape.parameters,
        "channels": shape.channels,
        "reach": shape.reach,
        "state": 0,
        "settle": measure_consistency_settle(shape, found),
        "licence": "CC0-1.0",
        "data": "nothing",
        "steps": 0,
        "seed": 0,
        "command": "",
        "figures": "",
    }
    save_file(found, path, metadata={key: str(value) for key, value in facts.items()})
    return path
