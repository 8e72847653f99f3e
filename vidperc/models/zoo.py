"""The networks that come with the program, and the card of any other one by the path of its weights.

Importing this file does not import torch: a command that only looks names up stays quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from vidperc.errors import VidpercError
from vidperc.models.card import ModelCard
from vidperc.models.own_card import CONSISTENCY, LUMA, NAMES, TWIN, own_card, shipped_card, shipped_path, twin_path
from vidperc.models.twins import check_detail, with_detail

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
    "quality": {2: ("quality-x2",), 4: ("quality-x4",), 8: ("quality-x4", "fast-x2")},
    # What the frame before tells is told once.
    "recurrent": {2: ("recurrent-x2",), 4: ("recurrent-x2", "fast-x2"), 8: ("recurrent-x2", "fast-x4")},
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

    models: their names or files, as `find_card` takes them. cards: theirs, with the detail that each takes.
    scale: what comes out; what the networks make beyond it is resampled away.
    """

    models: tuple[str, ...]
    cards: tuple[ModelCard, ...]
    scale: int


def find_chain(model: str, scale: int | None = None, detail: float = 0.0) -> Chain:
    """The networks that a stage asks for.

    model: as `find_card` takes it, or the name of a family, which has every scale.
    detail: 0 for the networks as they are, to 1 for their perceptual twins; those without a twin stay as they are.
    Raises VidpercError as `find_card` does, and for a detail that is not from 0 to 1 or that no network takes.
    """
    check_detail(f"{model}: detail", detail)
    chain = _chain_as_it_is(model, scale)
    if not detail:
        return chain
    if not any(card.twin for card in chain.cards):
        raise VidpercError(_without_twin(model, chain, detail))
    mixed = (
        with_detail(card, weights_path(name), detail) if card.twin else card
        for name, card in zip(chain.models, chain.cards, strict=True)
    )
    return replace(chain, cards=tuple(mixed))


def _chain_as_it_is(model: str, scale: int | None) -> Chain:
    if model not in _FAMILIES:
        card = find_card(model, scale)
        return Chain(models=(model,), cards=(card,), scale=card.scale)
    wanted = FAMILY_SCALE if scale is None else scale
    _check_scale(model, wanted)
    made = min(size for size in _FAMILIES[model] if size >= wanted)
    models = _FAMILIES[model][made]
    return Chain(models=models, cards=tuple(shipped_card(name) for name in models), scale=wanted)


def _without_twin(model: str, chain: Chain, detail: float) -> str:
    """Why a detail is refused, and what has one."""
    path = weights_path(model) if model not in _FAMILIES and chain.cards[0].sha256 else None
    plain = path.with_stem(path.stem.removesuffix(TWIN) or path.stem) if path is not None else None
    if plain is not None and plain != path and plain.is_file():
        return f"{model}: is a perceptual twin itself; use -m {plain.stem if model in NAMES else plain} --detail 1"
    lacking = list(dict.fromkeys(card.name for card in chain.cards))
    may_have = path is not None and model not in NAMES and chain.cards[0].architecture == LUMA
    wanted = f", {twin_path(path).name} beside it" if path is not None and may_have else ""
    having = [name for name in NAMES if shipped_card(name).twin]
    families = [
        name
        for name in _FAMILIES
        if name not in (AUTO, model) and any(card.twin for card in _chain_as_it_is(name, chain.scale).cards)
    ]
    hint = "no network that comes along has one"
    if having:
        hint = f"{', '.join(having)} {_have(having)} one: use -m {(*families, *having)[0]}"
    return (
        f"{model}: got detail {detail:g}, and {' and '.join(lacking)} {_have(lacking)} no perceptual twin{wanted}; "
        f"{hint}, or leave detail out"
    )


def _have(names: Sequence[str]) -> str:
    return "have" if len(names) > 1 else "has"


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
    if card is not None and card.architecture == CONSISTENCY:
        raise VidpercError(
            f"{path.name}: holds videos steady and enlarges nothing; wanted a network that enlarges, or give it to the "
            "stage steady: --steady-method learned --set steady.weights=FILE"
        )
    if card is None:
        from vidperc.models.weights import read_network

        card = read_network(path).card
    if scale is not None and scale != card.scale:
        family = _family_of(model, card.scale) if model in NAMES else ""
        hint = f"use -m {family} for every scale" if family else "add --resolution to resize its result"
        raise VidpercError(
            f"{path.name}: the network upscales by {card.scale}, got scale {scale}; leave the scale out, or {hint}"
        )
    return card


def _family_of(model: str, scale: int) -> str:
    """What to ask for instead of a network of ours to get its kind at other scales; empty where there is nothing."""
    plain = model.removesuffix(TWIN)
    family = next((name for name, sizes in _FAMILIES.items() if plain in sizes.get(scale, ())), "")
    return f"{family} --detail 1" if family and plain != model else family


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
