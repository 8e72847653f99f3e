"""Reads the consistency network that the stage `steady` asks for: the shipped one, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vidperc.errors import VidpercError
from vidperc.models.card import ModelCard
from vidperc.models.own_card import CONSISTENCY, own_card, shipped_path

# The strength at which training measures how long a network remembers, and the frames that are read where more is held:
# as many as `models.settle` ever says, for at full strength what is held all but stays.
_MEASURED_STRENGTH, _LONGEST = 0.9, 96

if TYPE_CHECKING:
    from vidperc.models.consistency import RunningConsistency
    from vidperc.placement import Placement


def consistency_card(weights: str | None) -> ModelCard:
    """The card of a file of weights, or of the shipped network for None; quick, without torch.

    Raises VidpercError for a file that is missing, or is not that of a consistency network.
    """
    path = _path(weights)
    if not path.is_file():
        hint = "train one by `vidperc train consistency` and name it in `weights`"
        told = "no consistency network comes along" if weights is None else f"{weights}: no such file of weights"
        raise VidpercError(f"steady: {told}; {hint}, or use method blend")
    card = own_card(path)
    if card is None or card.architecture != CONSISTENCY:
        got = "something else" if card is None else f"a {card.architecture} network"
        raise VidpercError(
            f"steady: weights: {path}: got {got}, wanted a file that `vidperc train consistency` made; name another"
        )
    return card


def consistency_settle(card: ModelCard, strength: float) -> int:
    """Frames until the network forgets where it began, when it holds this strongly, above 0 to 1."""
    return card.settle if strength <= _MEASURED_STRENGTH else _LONGEST


def open_consistency(weights: str | None, placement: Placement) -> RunningConsistency:
    """The network on the placement's device, in its precision. Raises VidpercError as `consistency_card` does, and for
    a file whose layers do not fit."""
    import torch

    from vidperc.models.consistency import ConsistencyShape, RunningConsistency
    from vidperc.models.weights import read_tensors

    card, path = consistency_card(weights), _path(weights)
    tensors = read_tensors(path)
    shape = ConsistencyShape(channels=card.channels, depth=len(tensors) // 2 - 2)
    wanted = {f"{place}.weight": (o, i, 3, 3) for place, (i, o) in enumerate(shape.widths())}
    wanted |= {f"{place}.bias": (o,) for place, (_, o) in enumerate(shape.widths())}
    if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != wanted:
        raise VidpercError(f"steady: weights: {path}: its layers do not fit its card; name another file")
    types = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    return RunningConsistency(
        shape, tensors, precision=types[placement.precision], device=torch.device(placement.device)
    )


def _path(weights: str | None) -> Path:
    return shipped_path(CONSISTENCY) if weights is None else Path(weights).expanduser()
