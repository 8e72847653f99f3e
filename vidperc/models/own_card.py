"""The cards of our own networks, read from the heads of their weights files without importing torch."""

from __future__ import annotations

import functools
import hashlib
import json
import struct
from pathlib import Path
from typing import cast

from vidperc.errors import VidpercError
from vidperc.models.card import ModelCard

# In the order in which they are shown; their weights lie in the folder `shipped`, made by `vidperc train`.
# fmt: off
NAMES = (
    "fast-x2", "fast-x4", "standard-x2", "standard-x4", "quality-x2", "quality-x4", "recurrent-x2",
    "fast-x2-real", "standard-x2-real", "standard-x2-perceptual",
)
# fmt: on

# The perceptual twin of NAME is NAME-perceptual, and its file lies beside that of NAME.
TWIN = "-perceptual"

# What the head calls a network of `models.luma`, one of `models.recurrent`, and one of `models.consistency`, which
# enlarges nothing: the stage `steady` asks for it.
LUMA, RECURRENT, CONSISTENCY = "luma", "recurrent", "consistency"

_FOLDER = Path(__file__).resolve().parent / "shipped"
_LARGEST_HEAD = 1 << 20


def shipped_path(name: str) -> Path:
    """Where the weights of a shipped network lie."""
    return _FOLDER / f"{name}.safetensors"


def twin_path(path: Path) -> Path:
    """Where the weights of the perceptual twin of the network in a file would lie."""
    return path.with_stem(path.stem + TWIN)


@functools.cache
def shipped_card(name: str) -> ModelCard:
    """The card of a shipped network. Raises VidpercError when the installation lacks its file."""
    card = own_card(shipped_path(name))
    if card is None:
        raise VidpercError(f"{shipped_path(name)}: missing or damaged; install vidperc again")
    return card


def own_card(path: Path) -> ModelCard | None:
    """The card in a weights file of our own; None for any other file.

    Source: the safetensors format, 8 bytes of length and a JSON object whose "__metadata__" is free text.
    """
    if path.suffix.lower() != ".safetensors":
        return None
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _LARGEST_HEAD:
                return None
            head = cast("dict[str, dict[str, str]]", json.loads(file.read(length)))
            facts = head.get("__metadata__", {})
            architecture = facts.get("architecture")
            if architecture not in (LUMA, RECURRENT, CONSISTENCY):
                return None
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        recurrent = architecture != LUMA
        return ModelCard(
            name=facts["name"],
            architecture=architecture,
            scale=int(facts["scale"]),
            summary=facts["summary"],
            parameters=int(facts["parameters"]),
            channels=int(facts["channels"]),
            reach=int(facts["reach"]),
            recurrent=recurrent,
            state=int(facts["state"]) if recurrent else 0,
            settle=int(facts["settle"]) if recurrent else 0,
            licence=facts["licence"],
            source=path.name,
            sha256=sha256,
            luma=True,
            data=facts["data"],
            steps=int(facts["steps"]),
            seed=int(facts["seed"]),
            command=facts["command"],
            figures=facts["figures"],
            # How soon a mixture of two recurrent networks forgets, nobody has measured.
            twin=twin_path(path).stem if not recurrent and twin_path(path).is_file() else "",
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, struct.error):
        return None  # no file of ours; whoever reads it as a network says what it is
