"""The cards of our own image networks, among those of `models.own_card`."""

from __future__ import annotations

from pathlib import Path

from vidperc.models.card import ModelCard
from vidperc.models.own_card import LUMA, NAMES, own_card, shipped_card, shipped_path

__all__ = ["ARCHITECTURE", "NAMES", "luma_card", "shipped_card", "shipped_path"]

ARCHITECTURE = LUMA


def luma_card(path: Path) -> ModelCard | None:
    """The card in the weights file of an image network of our own; None for any other file."""
    card = own_card(path)
    return card if card is not None and card.architecture == LUMA else None
