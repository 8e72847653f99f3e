"""Perceptual twins: networks of one layout, between whose weights a slider moves.

A network that is trained for fidelity, and then further for what eyes prefer, stays near where it was: every mixture of
the two sets of weights works, and what it makes lies between what the two make. So one number, chosen when a network is
loaded, moves it from fidelity to detail, at the cost of one network.

Source: X. Wang et al., "Deep Network Interpolation for Continuous Imagery Effect Transition", 2019, equation 2.

Importing this file does not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vidperc.errors import VidpercError
from vidperc.models.card import ModelCard
from vidperc.models.own_card import CONSISTENCY, own_card, twin_path


def check_detail(option: str, detail: float) -> None:
    """Raises VidpercError, naming the option, for a detail that is not from 0 to 1."""
    if not 0 <= detail <= 1:
        raise VidpercError(f"{option} {detail:g}: wanted 0, the network as it is, to 1, its perceptual twin")


def with_detail(card: ModelCard, path: Path, detail: float) -> ModelCard:
    """The card of the network between the one in a file and its twin; the card as it is where it names no twin.

    path: of the file that the card is of. detail: above 0, at most 1.
    Raises VidpercError for a twin that cannot be read or has another layout.
    """
    if not card.twin:
        return card
    other = twin_path(path)
    twin = own_card(other)
    if twin is None:
        raise VidpercError(f"{other}: missing or damaged; leave detail out, or copy the file again")
    if _layout(twin) != _layout(card):
        raise VidpercError(
            f"{other.name}: has another layout than {path.name}, so nothing lies between them; a twin is trained on "
            "from its network"
        )
    return replace(card, detail=detail, twin_sha256=twin.sha256)


def told_detail(cards: Sequence[ModelCard]) -> list[str]:
    """What became of a detail that was asked for: a sentence for each of the networks, none where none was asked."""
    if not any(card.detail for card in cards):
        return []
    return [
        f"detail {card.detail:g}: {card.name} is mixed with {card.twin}"
        if card.detail
        else f"{card.name} has no perceptual twin and stays as it is"
        for card in dict.fromkeys(cards)
        if card.architecture != CONSISTENCY  # which enlarges nothing
    ]


def _layout(card: ModelCard) -> tuple[object, ...]:
    return card.architecture, card.scale, card.channels, card.parameters
