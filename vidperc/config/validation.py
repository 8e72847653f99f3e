"""Plain data checked against pydantic types, with every misfit told as one line: where, what, got, wanted."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from vidperc.config.yaml_lines import KeyPath
from vidperc.errors import VidpercError

T = TypeVar("T")

_UNKNOWN_KEY = frozenset({"extra_forbidden", "unexpected_keyword_argument"})
_MISSING_KEY = frozenset({"missing", "missing_keyword_only_argument", "missing_argument"})
_NOT_A_MAPPING = frozenset({"dict_type", "model_type", "dataclass_type", "model_attributes_type"})
_OUR_WORDS = {
    "a valid integer": "an integer",
    "a valid number": "a number",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid array": "a list",
    "a valid list": "a list",
    "an object": "a mapping",
}


def validated(adapter: TypeAdapter[T], data: object, *, where: Callable[[KeyPath], str]) -> T:
    """The data as the adapter's type.

    where: gives the place of a key path for the message, "file:line" say.
    Raises VidpercError for the first misfit; an unknown key comes first, for it explains the missing ones.
    """
    try:
        # As JSON, where strictness refuses `true` for 1 and "2" for 2, but takes a list for a tuple.
        return adapter.validate_json(json.dumps(data))
    except ValidationError as error:
        details = error.errors(include_url=False)
        details.sort(key=lambda detail: detail["type"] not in _UNKNOWN_KEY)
        first = _path(details[0]["loc"], data)
        same = [detail for detail in details if _path(detail["loc"], data) == first]
        told = _told(same, first, data, adapter)
        raise VidpercError(f"{where(_blamed(details[0], first))}: {told}") from error


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A tail for a message that names the close match, if there is one."""
    close = difflib.get_close_matches(word, list(choices), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _path(loc: tuple[int | str, ...], data: object) -> KeyPath:
    """The key path of an error, without the tags of unions that pydantic puts into it."""
    path: list[str | int] = []
    tag_may_come = True
    for part in loc:
        if isinstance(data, dict):
            mapping = cast("dict[str, object]", data)
            if tag_may_come and part == mapping.get("kind"):
                tag_may_come = False
                continue
            path.append(part)
            data = mapping.get(str(part))
        elif isinstance(data, list) and isinstance(part, int):
            path.append(part)
            data = cast("list[object]", data)[part]
        else:
            break  # the member of a union that was tried on a plain value
        tag_may_come = True
    return tuple(path)


def _blamed(detail: ErrorDetails, path: KeyPath) -> KeyPath:
    """The key that a type's own check names, as in `scale: got 9, wanted 1 to 8`, else the path itself."""
    if detail["type"] == "value_error":
        name, colon, _ = str(detail.get("ctx", {})["error"]).partition(":")
        if colon and isinstance(detail["input"], dict) and name in detail["input"]:
            return (*path, name)
    return path


def _told(details: list[ErrorDetails], path: KeyPath, data: object, adapter: TypeAdapter[Any]) -> str:
    detail = details[0]
    name, got = _spelled(path), _shown(detail["input"])
    context: dict[str, Any] = detail.get("ctx", {})
    match detail["type"]:
        case error if error in _UNKNOWN_KEY:
            keys = _keys(adapter.json_schema(), path[:-1], data)
            return f"unknown key {path[-1]!r}, wanted one of {', '.join(keys)}{did_you_mean(str(path[-1]), keys)}"
        case error if error in _MISSING_KEY:
            return f"missing key {path[-1]!r}"
        case "union_tag_invalid":
            tags = _tags(context)
            return (
                f"unknown kind {context['tag']!r}, wanted one of {', '.join(tags)}{did_you_mean(context['tag'], tags)}"
            )
        case "union_tag_not_found":
            return f"missing key 'kind' in {name}, wanted a mapping that begins with 'kind: ...'"
        case error if error in _NOT_A_MAPPING:
            return f"{name}: got {got}, wanted a mapping"
        case "too_short":
            return f"{name}: got {got}, wanted at least {context['min_length']} item"
        case "value_error":
            return str(context["error"])
        case _:
            wanted = " or ".join(dict.fromkeys(_wanted(detail) for detail in details))
            return f"{name}: got {got}, wanted {wanted}"


def _wanted(detail: ErrorDetails) -> str:
    wanted = re.sub(r"^\w+ should (be )?", "", detail["msg"])
    return _OUR_WORDS.get(wanted, wanted)


def _tags(context: dict[str, Any]) -> list[str]:
    return [tag.strip("'") for tag in str(context["expected_tags"]).split(", ")]


def _spelled(path: KeyPath) -> str:
    """The last name in a key path, with the positions in a list that follow it."""
    if not path:
        return "the file"
    *parents, last = path
    if isinstance(last, int):
        return f"{_spelled(tuple(parents)) if parents else ''}[{last}]"
    return last


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _keys(schema: dict[str, Any], path: KeyPath, data: Any) -> list[str]:
    """The keys that the JSON Schema allows in the mapping at a key path."""
    here = _one_of(schema, schema, data)
    for part in path:
        child = here["items"] if isinstance(part, int) else here.get("properties", {}).get(part)
        data = data[part]
        here = _one_of(child or here["additionalProperties"], schema, data)
    return list(here.get("properties", {}))


def _one_of(here: dict[str, Any], schema: dict[str, Any], data: Any) -> dict[str, Any]:
    """The schema that holds for the data: references followed, the union's member of this `kind` taken."""
    while True:
        if "$ref" in here:
            here = schema["$defs"][here["$ref"].removeprefix("#/$defs/")]
        elif "discriminator" in here:
            here = {"$ref": here["discriminator"]["mapping"][data["kind"]]}
        elif "anyOf" in here:
            members: list[dict[str, Any]] = here["anyOf"]
            here = next((member for member in members if member.keys() & {"$ref", "oneOf", "items"}), members[0])
        else:
            return here
