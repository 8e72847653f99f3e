"""Objectives read from YAML: the mapping under `objective:`, in a file of its own or beside other settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, Union

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from vidperc.config.validation import validated
from vidperc.config.yaml_lines import KeyPath, read_yaml
from vidperc.errors import VidpercError
from vidperc.losses.motion_choice import MotionChoice
from vidperc.losses.objective import ObjectiveSpec
from vidperc.losses.table import TERMS
from vidperc.losses.term import Term

if TYPE_CHECKING:
    AnyTerm: TypeAlias = Term
else:
    AnyTerm = Annotated[Union[tuple(TERMS.values())], Field(discriminator="kind")]  # noqa: UP007, built at run time

_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Objective(BaseModel):
    """What stands under `objective:`; the terms inherit the strictness of this type."""

    model_config = _STRICT

    terms: Annotated[list[AnyTerm], Field(min_length=1)]
    motion: MotionChoice = MotionChoice()


class _File(BaseModel):
    model_config = _STRICT

    objective: _Objective


_FILE = TypeAdapter(_File)


def load_objective(path: Path) -> ObjectiveSpec:
    """The objective of a YAML file; `Objective.open(spec.terms, motion=spec.motion)` loads what it needs.

    Raises VidpercError as `file:line: what, got, wanted` for a file that does not fit.
    """
    source = read_yaml(path)
    if source.data is None:
        raise VidpercError(f"{source.where(())}: the file is empty, wanted `objective:` and its terms")
    return read_objective(source.data, where=source.where)


def read_objective(data: object, *, where: Callable[[KeyPath], str]) -> ObjectiveSpec:
    """The objective of a mapping whose only key is `objective`; where: says where a key stands in its file.

    Raises VidpercError as `load_objective` does.
    """
    found = validated(_FILE, data, where=where).objective
    try:
        return ObjectiveSpec(terms=tuple(found.terms), motion=found.motion)
    except ValueError as error:
        # At the second term of a name, where a name is wanted.
        names = [term.called for term in found.terms]
        second = next((index for index, name in enumerate(names) if name in names[:index]), None)
        at = ("objective", "terms") if second is None else ("objective", "terms", second)
        raise VidpercError(f"{where(at)}: {error}") from error
