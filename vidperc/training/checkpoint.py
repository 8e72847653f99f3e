"""Checkpoints: all that a training is, in a safetensors file that is whole or not there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor

from vidperc.errors import VidpercError

Facts = Mapping[str, Mapping[str, object]]

_OTHERWISE = "remove it to begin anew, or train under another name"


def write_checkpoint(path: Path, state: Mapping[str, Tensor], facts: Facts, step: int) -> None:
    """Replace the file by one of this state after this step; the old one stays where that fails.

    The moments of optimisers, `first.` and `second.` in their names, are written as bfloat16.
    Raises VidpercError when the file cannot be written.
    """
    tensors = {
        name: tensor.to(torch.bfloat16).cpu() if _is_moment(name) else tensor.cpu().contiguous()
        for name, tensor in state.items()
    }
    told = {name: json.dumps(values) for name, values in facts.items()}
    replace_safetensors(path, tensors, {"step": str(step), **told})


def replace_safetensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
    """Write a safetensors file that is seen when it is whole. Raises VidpercError when it cannot be written."""
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        partial.touch()
        mode = partial.stat().st_mode  # as files are made here; safetensors lets nobody else read what it writes
        save_file(dict(tensors), partial, metadata=dict(facts))
        partial.chmod(mode)
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        text = " ".join(str(error).split())
        kept = "the last whole one stays; " if path.exists() else ""
        raise VidpercError(f"{path}: cannot be written ({text}); {kept}make room, or name another folder") from error


def read_checkpoint(path: Path, state: Mapping[str, Tensor], facts: Facts) -> int:
    """The step after which the checkpoint was made; its values go into the state.

    Raises VidpercError for a file that is damaged, or of a training with other facts or another network.
    """
    try:
        with safe_open(path, framework="pt") as file:  # pyright: ignore[reportUnknownVariableType]
            told = cast("dict[str, str]", file.metadata() or {})
        step, was = int(told["step"]), {name: json.loads(told[name]) for name in facts if name in told}
        saved = load_file(path)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        text = " ".join(str(error).split())
        raise VidpercError(f"{path}: no whole checkpoint ({type(error).__name__}: {text}); {_OTHERWISE}") from error
    for kind, had in was.items():
        wanted = json.loads(json.dumps(facts[kind]))  # tuples as the lists they are in a file
        other = list(_differences(had, wanted))
        if other:
            raise VidpercError(f"{path}: is of another {kind}: {'; '.join(other)}; {_OTHERWISE}")
    got, fits = ({name: tuple(tensor.shape) for name, tensor in tensors.items()} for tensors in (saved, state))
    if got != fits:
        name = min(name for name, _ in got.items() ^ fits.items())
        raise VidpercError(
            f"{path}: is of another network: {name} has the shape {got.get(name)}, wanted {fits.get(name)}; "
            + _OTHERWISE
        )
    for name, tensor in state.items():
        tensor.copy_(saved[name])
    return step


def _differences(had: Mapping[str, object], wanted: Mapping[str, object], inside: str = "") -> Iterator[str]:
    for key in {**had, **wanted}:
        got, asked = had.get(key), wanted.get(key)
        if isinstance(got, dict) and isinstance(asked, dict):
            yield from _differences(cast("Facts", got), cast("Facts", asked), f"{inside}{key}.")
        elif got != asked:
            yield f"{inside}{key} {got}, wanted {asked}"


def _is_moment(name: str) -> bool:
    return name.removeprefix("judge.").startswith(("first.", "second."))
