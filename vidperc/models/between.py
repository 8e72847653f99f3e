"""A network between one of our own and its perceptual twin, made when it is loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from vidperc.errors import VidpercError
from vidperc.models.own_card import twin_path
from vidperc.models.weights import LumaNetwork, read_network


def read_between(path: Path, detail: float) -> LumaNetwork:
    """The network between the one in a file of our own and its perceptual twin, weight by weight in float32.

    detail: how far it is moved towards the twin; at 0 and 1 it has the bits of the one and the other.
    Raises VidpercError as `read_network` does, and for files that are not of one layout.
    """
    network, twin = read_network(path), read_network(twin_path(path))
    if not isinstance(network, LumaNetwork) or not isinstance(twin, LumaNetwork) or network.shape != twin.shape:
        raise VidpercError(
            f"{twin_path(path).name}: has not the layers of {path.name}, so nothing lies between them; a twin is "
            "trained on from its network"
        )
    card = replace(network.card, detail=detail, twin_sha256=twin.card.sha256)
    weights = {name: mixed(tensor, twin.weights[name], detail) for name, tensor in network.weights.items()}
    return LumaNetwork(card=card, shape=network.shape, weights=weights)


def mixed(one: Tensor, other: Tensor, share: float) -> Tensor:
    """Tensors mixed, exact at both ends and where they are equal.

    Step by step: torch.lerp may add and multiply in one, which rounds differently on another processor.
    """
    step = other - one
    return one + step * share if share < 0.5 else other - step * (1 - share)
