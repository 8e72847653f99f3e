"""The networks that come with the program, and the card of any other one by the path of its weights.

Importing this file does not import torch: a command that only looks names up stays quick.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from vidperc.errors import VidpercError
from vidperc.models.card import ModelCard
from vidperc.models.own_card import NAMES, own_card, shipped_card, shipped_path

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
        luma=True,
        licence="none needed",
        source="built in",
    ),
    "lanczos": ModelCard(
        name="lanczos",
        architecture="resampling",
        scale=2,
        summary="windowed sinc with 3 lobes, a little sharper than bicubic; any whole scale from 1 to 8, no weights",
        reach=0,
        luma=True,
        licence="none needed",
        source="built in",
    ),
}

# A family makes any scale: its networks one after the other for the scale or the next larger one here, then bicubic.
_FAMILIES: dict[str, dict[int, tuple[str, ...]]] = {
    "fast": {2: ("fast-x2",), 4: ("fast-x4",), 8: ("fast-x4", "fast-x2")},
    "standard": {2: ("standard-x2",), 4: ("standard-x4",), 8: ("standard-x4", "fast-x2")},
    # What compression did is mended once, by the first; the second sees a clean picture.
    "fast-real": {2: ("fast-x2-real",), 4: ("fast-x2-real", "fast-x2"), 8: ("fast-x2-real", "fast-x4")},
    "standard-real": {2: ("standard-x2-real",), 4: ("standard-x2-real", "fast-x2"), 8: ("standard-x2-real", "fast-x4")},
}
FAMILY_SCALE = 2

# What `auto` stands for where a job has looked at its source; where nobody has, it is the network for clean video.
AUTO, AUTO_CLEAN, AUTO_COMPRESSED = "auto", "fast", "fast-real"
_FAMILIES[AUTO] = _FAMILIES[AUTO_CLEAN]


def list_cards() -> tuple[ModelCard, ...]:
    """The cards of the built-in networks, each at its usual scale."""
    return (*(shipped_card(name) for name in NAMES), *_ZOO.values())


def list_families() -> tuple[str, ...]:
    """The names that stand for a network of each scale."""
    return tuple(_FAMILIES)


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Networks that enlarge one after the other.

    models: their names or files, as `find_card` takes them. scale: what comes out; what the networks make beyond it
    is resampled away.
    """

    models: tuple[str, ...]
    cards: tuple[ModelCard, ...]
    scale: int


def find_chain(model: str, scale: int | None = None) -> Chain:
    """The networks that a stage asks for.

    model: as `find_card` takes it, or the name of a family, which has every scale.
    Raises VidpercError as `find_card` does.
    """
    if model not in _FAMILIES:
        card = find_card(model, scale)
        return Chain(models=(model,), cards=(card,), scale=card.scale)
    wanted = FAMILY_SCALE if scale is None else scale
    _check_scale(model, wanted)
    made = min(size for size in _FAMILIES[model] if size >= wanted)
    models = _FAMILIES[model][made]
    return Chain(models=models, cards=tuple(shipped_card(name) for name in models), scale=wanted)


def recurrent_cards(model: str, scale: int | None = None) -> tuple[ModelCard, ...]:
    """The cards of the recurrent networks that `find_chain` would find, in its order.

    It reads no weights but the heads of ours, so that asking is quick and imports no torch; what is no network at all
    is for `find_chain` to refuse.
    """
    if model in _FAMILIES:
        cards = find_chain(model, scale).cards
    elif model in _ZOO:
        return ()
    else:
        card = shipped_card(model) if model in NAMES else own_card(_as_path(model))
        cards = () if card is None else (card,)
    return tuple(card for card in cards if card.recurrent)


def find_card(model: str, scale: int | None = None) -> ModelCard:
    """The card of a built-in network or of a weights file.

    model: a name from `list_cards`, or the path of a .safetensors, .pth, .pt or .ckpt file; a name goes first, so a
    file that is called like one is written ./bicubic.
    scale: output side over input side, 1 to 8; left out, the network's own. A file of weights has one scale only.

    The first look into a file reads all of it and takes seconds; later ones are remembered while it is unchanged.
    Raises VidpercError for an unknown name, a file that cannot be used, or a scale that the network has not.
    """
    if scale is not None:
        _check_scale(model, scale)
    if model in _ZOO:
        return _ZOO[model] if scale is None else replace(_ZOO[model], scale=scale)
    path = weights_path(model)
    card = shipped_card(model) if model in NAMES else own_card(path)
    if card is None:
        from vidperc.models.weights import read_network

        card = read_network(path).card
    if scale is not None and scale != card.scale:
        family = (
            next((name for name in _FAMILIES if model in _FAMILIES[name][card.scale]), None) if model in NAMES else None
        )
        hint = f"use -m {family} for every scale" if family else "add --resolution to resize its result"
        raise VidpercError(
            f"{path.name}: the network upscales by {card.scale}, got scale {scale}; leave the scale out, or {hint}"
        )
    return card


def _check_scale(model: str, scale: int) -> None:
    if not 1 <= scale <= LARGEST_SCALE:
        raise VidpercError(
            f"{model}: got scale {scale}, wanted a whole number from 1 to {LARGEST_SCALE}; "
            "choose another, or leave it out for the network's own"
        )


def weights_path(model: str) -> Path:
    """The weights file that a model's text means. Raises VidpercError when it is neither a file nor meant as one."""
    if model in NAMES:
        return shipped_path(model)
    path = _as_path(model)
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
        raise VidpercError(f"{model}: no such file of weights; check the path, or use {_spelled()}")
    near = get_close_matches(model.lower(), _names(), n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise VidpercError(
        f"{model!r}: no network of this name; {hint}wanted {_spelled()}, "
        f"or the path of a {' or '.join(SUFFIXES[:2])} file"
    )


def _as_path(model: str) -> Path:
    return Path(model).expanduser() if model.startswith("~/") else Path(model)


def _names() -> tuple[str, ...]:
    return (*_FAMILIES, *NAMES, *_ZOO)


def _spelled() -> str:
    return f"one of {', '.join((*_FAMILIES, *_ZOO))}"
