from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import ConfigDict, Field, TypeAdapter

from vidperc.config.validation import validated
from vidperc.errors import VidpercError


@dataclass(frozen=True)
class Inner:
    width: int = 1


@dataclass(frozen=True)
class Leaf:
    kind: Literal["leaf"] = "leaf"
    leaf: int = 0
    inner: Inner | None = None
    weight: float | Literal["auto"] = "auto"
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Other:
    kind: Literal["other"] = "other"


PARTS = TypeAdapter[Any](
    list[Annotated[Leaf | Other, Field(discriminator="kind")]], config=ConfigDict(extra="forbid", strict=True)
)


def misfit(data: object) -> tuple[tuple[str | int, ...], str]:
    places: list[tuple[str | int, ...]] = []

    def where(path: tuple[str | int, ...]) -> str:
        places.append(path)
        return "here"

    with pytest.raises(VidpercError) as caught:
        validated(PARTS, data, where=where)
    return places[0], str(caught.value)


def test_a_list_fits_a_tuple_and_an_integer_a_number() -> None:
    fits: Any = validated(PARTS, [{"kind": "leaf", "weight": 1, "sizes": [1, 2]}], where=lambda _: "here")
    assert fits == [Leaf(weight=1.0, sizes=(1, 2))]


def test_a_key_that_is_called_like_its_kind_keeps_its_path() -> None:
    assert misfit([{"kind": "leaf", "leaf": "x"}])[0] == (0, "leaf")
    assert misfit([{"kind": "other", "other": 1}]) == (
        (0, "other"),
        "here: unknown key 'other', wanted one of kind",
    )


def test_an_unknown_key_inside_a_stages_own_mapping_is_refused_with_its_keys() -> None:
    assert misfit([{"kind": "leaf", "inner": {"widht": 1}}]) == (
        (0, "inner", "widht"),
        "here: unknown key 'widht', wanted one of width; did you mean 'width'?",
    )


def test_every_member_of_a_plain_union_is_named() -> None:
    assert misfit([{"kind": "leaf", "weight": "x"}]) == (
        (0, "weight"),
        "here: weight: got \"x\", wanted a number or 'auto'",
    )


def test_an_item_of_a_list_is_named_by_its_position() -> None:
    assert misfit([{"kind": "leaf", "sizes": [1, "2"]}]) == (
        (0, "sizes", 1),
        'here: sizes[1]: got "2", wanted an integer',
    )
