"""YAML read as plain data that remembers on which line every key stands.

Scalars follow the core schema of YAML 1.2, as editors do: `no`, `on` and `1:30` are text, `1e-4` is a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vidperc.errors import VidpercError

KeyPath = tuple[str | int, ...]

MAX_BYTES = 1_000_000
MAX_ALIASES = 16
MAX_DEPTH = 32
MAX_VALUES = 20_000  # after aliases are followed: sixteen of them are enough to multiply a file by hundreds

_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_INTEGER = re.compile(r"[-+]?[0-9]{1,40}|0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


@dataclass(frozen=True)
class YamlFile:
    """Plain data (dict, list, str, int, float, bool, None) with the line of every key and list item.

    name: the file as the user spelled it, for messages.
    lines: the line, counted from 1, on which a key or item stands; () is where the data begin.
    """

    name: str
    data: Any
    lines: dict[KeyPath, int]

    def where(self, path: KeyPath) -> str:
        """`file:line` of a key path, or of the nearest parent that is in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.name}:{self.lines[path]}"


def read_yaml(path: Path) -> YamlFile:
    """The data of one YAML file, with its lines.

    Raises VidpercError when the file cannot be read, is larger than 1 MB or is refused by `parse_yaml`.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise VidpercError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise VidpercError(f"{path}: too large, got over {MAX_BYTES} bytes, wanted at most {MAX_BYTES}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise VidpercError(f"{path}:{line}: not text, got byte 0x{raw[error.start]:02x}, wanted UTF-8") from error
    return parse_yaml(text, name=str(path))


def parse_yaml(text: str, *, name: str) -> YamlFile:
    """The data of a YAML text, with its lines; `name` stands for the file in messages.

    Raises VidpercError as `name:line: what, got, wanted` for a syntax error, a duplicate key, a key that is not text,
    a tag, more than one document, and for data that would grow without bound.
    """
    try:
        _refuse_what_grows(text, name)
        root = yaml.BaseLoader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, name) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise VidpercError(f"{name}:{line}: not YAML, got character U+{error.character:04X}, wanted text") from error
    if root is None:
        return YamlFile(name, None, {(): 1})
    lines: dict[KeyPath, int] = {}
    return YamlFile(name, _build(root, (), lines, name, frozenset()), lines)


def scalar(text: str) -> str | int | float | bool | None:
    """The value of a plain, unquoted YAML scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _refuse_what_grows(text: str, name: str) -> None:
    """Count what the composer recurses over before it does."""
    depth = aliases = values = 0
    loader: Any = yaml.BaseLoader(text)  # its stubs leave events untyped
    while loader.check_event():
        event: Any = loader.get_event()
        at = f"{name}:{event.start_mark.line + 1}"
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        aliases += isinstance(event, yaml.AliasEvent)
        values += isinstance(event, yaml.ScalarEvent)
        for what, count, most in (
            ("nested levels", depth, MAX_DEPTH),
            ("aliases", aliases, MAX_ALIASES),
            ("values", values, 2 * MAX_VALUES),
        ):
            if count > most:
                raise VidpercError(f"{at}: too many {what}, wanted at most {most}")
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!":
            raise VidpercError(f"{at}: tags are not read, got {tag!r}, wanted plain data")
        if isinstance(event, yaml.ScalarEvent) and _HALF_CHARACTER.search(event.value):
            raise VidpercError(f"{at}: not text, got half a character, wanted whole ones")


def _build(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], name: str, parents: frozenset[int]) -> Any:
    """Plain data of a node; the line of a mapping's key is entered by the mapping, that of anything else here."""
    line = lines.setdefault(path, node.start_mark.line + 1)
    if len(lines) > MAX_VALUES:
        raise VidpercError(f"{name}:{line}: too many values, wanted at most {MAX_VALUES}")
    if isinstance(node, yaml.ScalarNode):
        return _plain(node)
    if id(node) in parents:
        raise VidpercError(f"{name}:{line}: alias to a value that holds it, wanted data that end")
    parents |= {id(node)}
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, index), lines, name, parents) for index, item in enumerate(node.value)]
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = _plain(key_node) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            got = repr(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "a collection"
            raise VidpercError(f"{name}:{line}: a key that is not text, got {got}, wanted a name, or quotes around it")
        here = (*path, key)
        if key in data:
            raise VidpercError(f"{name}:{line}: key {key!r} twice, first on line {lines[here]}, wanted once")
        lines[here] = line
        data[key] = _build(value_node, here, lines, name, parents)
    return data


def _plain(node: yaml.ScalarNode) -> str | int | float | bool | None:
    """A quoted or block scalar is text, whatever it looks like."""
    return scalar(node.value) if node.style is None else node.value


def _syntax_error(error: yaml.MarkedYAMLError, name: str) -> VidpercError:
    mark = error.problem_mark or error.context_mark
    at = f"{name}:{mark.line + 1}" if mark else name
    context = f", {error.context}" if error.context else ""
    return VidpercError(f"{at}: not YAML{context}: {error.problem}")
