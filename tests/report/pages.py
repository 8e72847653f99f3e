"""A reader of pages for tests: refuses what is not balanced, and collects what is in them."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_VOID = {"meta", "img"}


class Reader(HTMLParser):
    """Elements with their attributes, and all text, but that of the style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice: {names}"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open.pop() == tag, f"{tag} closes nothing"

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def assert_asks_for_nothing(page: str) -> None:
    """No address, no script, and no file but the log beside the page."""
    without_pictures = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"http|//|url\(|@import", without_pictures)
    found = Reader(page)
    assert not {name for name, _ in found.elements} & {"script", "link", "iframe", "object", "embed"}
    assert all(image["src"].startswith("data:image/png;base64,") for image in found.all("img"))
    assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)
