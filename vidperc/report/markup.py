"""Markup that is put together from elements, so that no text gets into a page unescaped."""

from __future__ import annotations

import html
from collections.abc import Mapping

_WITHOUT_END = frozenset({"img", "meta"})


class Html(str):
    """Markup; any other string is text, and escaped where it is put into an element."""

    __slots__ = ()


def element(tag: str, attributes: Mapping[str, object] | None = None, *inside: str) -> Html:
    """An element with what is inside it: `Html` as it is, other strings as text.

    attributes: by name; one that is None is left out, numbers are written as `number` does.
    """
    told = "".join(
        f' {name}="{html.escape(_value(value))}"' for name, value in (attributes or {}).items() if value is not None
    )
    if tag in _WITHOUT_END:
        return Html(f"<{tag}{told}>")
    return Html(f"<{tag}{told}>{joined(*inside)}</{tag}>")


def joined(*parts: str) -> Html:
    """Markup and texts after one another."""
    return Html("".join(part if isinstance(part, Html) else html.escape(part, quote=False) for part in parts))


def number(value: float) -> str:
    """A length in pixels, to a tenth: 12, 12.5."""
    return f"{value:.1f}".removesuffix(".0")


def _value(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)
