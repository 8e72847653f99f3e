"""The networks that come with the program, and the card of any other one by the path of its weights.

Importing this file does not import torch: a command that only looks names up stays quick.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from vidperc.errors import VidpercError
from vidperc.models.card import ModelCard

LARGEST_SCALE = 8
SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")

# Resampling: no weights, any whole scale; the card is made for the scale that is asked for.
_ZOO = {
    "bicubic": ModelCard(
        name="bicubic",
        architecture="resampling",
        scale=2,
        summary="cubic interpolation (Keys, a = -0.5); any whole scale from 1 to 8, no weights",
        reach=0,
        licence="none needed",
        source="built in",
    ),
    "lanczos": ModelCard(
        name="lanczos",
        architecture="resampling",
        scale=2,
        summary="windowed sinc with 3 lobes, a little sharper than bicubic; any whole scale from 1 to 8, no weights",
        reach=0,
        licence="none needed",
        source="built in",
    ),
}


def list_cards() -> tuple[ModelCard, ...]:
    """The cards of the built-in networks, each at its usual scale."""
    return tuple(_ZOO.values())


def find_card(model: str, scale: int | None = None) -> ModelCard:
    """The card of a built-in network or of a weights file.

    model: a name from `list_cards`, or the path of a .safetensors, .pth, .pt or .ckpt file; a name goes first, so a
    file that is called like one is written ./bicubic.
    scale: output side over input side, 1 to 8; left out, the network's own. A file of weights has one scale only.

    The first look into a file reads all of it and takes seconds; later ones are remembered while it is unchanged.
    Raises VidpercError for an unknown name, a file that cannot be used, or a scale that the network has not.
    """
    if scale is not None and not 1 <= scale <= LARGEST_SCALE:
        raise VidpercError(
            f"{model}: got scale {scale}, wanted a whole number from 1 to {LARGEST_SCALE}; "
            "choose another, or leave it out for the network's own"
        )
    if model in _ZOO:
        return _ZOO[model] if scale is None else replace(_ZOO[model], scale=scale)
    path = weights_path(model)
    from vidperc.models.weights import read_network

    card = read_network(path).card
    if scale is not None and scale != card.scale:
        raise VidpercError(
            f"{path.name}: the network upscales by {card.scale}, got scale {scale}; "
            "leave the scale out, or add --resolution to resize its result"
        )
    return card


def weights_path(model: str) -> Path:
    """The weights file that a model's text means. Raises VidpercError when it is neither a file nor meant as one."""
    path = Path(model).expanduser() if model.startswith("~/") else Path(model)
    try:
        is_file, is_folder = path.is_file(), bool(model) and path.is_dir()
    except OSError as error:
        raise VidpercError(f"{model[:200]}: cannot be looked at ({error.strerror}); check the path") from error
    if is_file:
        if path.suffix.lower() in SUFFIXES:
            return path
        raise VidpercError(
            f"{model}: got a {path.suffix or 'file without suffix'}, wanted weights as {', '.join(SUFFIXES)}; "
            "convert it, or name another file"
        )
    if is_folder:
        raise VidpercError(f"{model}: got a folder, wanted a file of weights; name one of the files in it")
    if path.suffix.lower() in SUFFIXES or len(path.parts) > 1:
        raise VidpercError(f"{model}: no such file of weights; check the path, or use {_names()}")
    near = get_close_matches(model.lower(), _ZOO, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise VidpercError(
        f"{model!r}: no network of this name; {hint}wanted {_names()}, "
        f"or the path of a {' or '.join(SUFFIXES[:2])} file"
    )


def _names() -> str:
    return " or ".join(_ZOO)
