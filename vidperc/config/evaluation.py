"""Evaluations read from YAML: the built-in ones by name, a user's own by path."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from vidperc.compare.evaluation import Evaluation
from vidperc.config.pipelines import built_in_folder
from vidperc.config.validation import did_you_mean, validated
from vidperc.config.yaml_lines import read_yaml
from vidperc.errors import VidpercError

PREFIX = "evaluate_"


class _File(BaseModel):
    """Around an evaluation, for its strictness, which the dataclasses inherit."""

    model_config = ConfigDict(extra="forbid", strict=True)

    evaluation: Evaluation


_FILE = TypeAdapter(_File)


def built_in_evaluations() -> dict[str, Path]:
    """The file of every built-in evaluation under its name, in alphabetical order."""
    files = built_in_folder("configs").glob(f"{PREFIX}*.yaml")
    return {path.stem.removeprefix(PREFIX): path for path in sorted(files, key=lambda path: path.stem)}


def load_evaluation(name_or_path: str) -> Evaluation:
    """The evaluation of a built-in name, with or without `evaluate_` before it, or of a path ending in .yaml or .yml.

    Raises VidpercError for an unknown name, and as `file:line: what, got, wanted` for a file that does not fit.
    """
    source = read_yaml(_path(name_or_path))
    if source.data is None:
        raise VidpercError(f"{source.where(())}: the file is empty, wanted an evaluation; docs/metrics.md has one")
    return validated(_FILE, {"evaluation": source.data}, where=lambda key: source.where(key[1:])).evaluation


def _path(name_or_path: str) -> Path:
    if name_or_path.endswith((".yaml", ".yml")):
        return Path(name_or_path)
    built_in = built_in_evaluations()
    name = name_or_path.removeprefix(PREFIX)
    if name not in built_in:
        raise VidpercError(
            f"unknown evaluation {name_or_path!r}, wanted one of {', '.join(built_in)}, or a path that ends in .yaml"
            + did_you_mean(name, built_in)
        )
    return built_in[name]
