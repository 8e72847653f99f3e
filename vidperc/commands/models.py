"""`vidperc models`: the built-in networks, and what a weights file holds."""

from __future__ import annotations

from dataclasses import asdict

import typer

from vidperc.models.zoo import find_card, list_cards, list_families


def list_builtin() -> int:
    """A line for each built-in network."""
    cards = list_cards()
    wide = max(len(card.name) for card in cards)
    for card in cards:
        typer.echo(f"{card.name:{wide}}  {card.summary}")
    typer.echo(f"Families that have every scale from 1 to 8: {', '.join(list_families())}")
    typer.echo("Any .safetensors or .pth file of a known architecture works too: vidperc upscale -m FILE")
    return 0


def show(model: str) -> int:
    """Every fact of a network's card."""
    facts = asdict(find_card(model, None))
    for name in ("detail", "twin_sha256"):  # of what is made of it for one run
        del facts[name]
    for name, value in facts.items():
        text = "not found" if value is None else ("-" if value == "" else value)
        typer.echo(f"{name.replace('_', ' '):16} {text}")
    return 0
