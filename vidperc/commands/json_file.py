"""Files of figures that people ask for, JSON mostly: checked before the work, written after it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vidperc.errors import VidpercError


def check_json_file(path: Path, *, option: str, what: str, ending: str = ".json") -> None:
    """Raises VidpercError when no such file can be written there. what: it holds, as in "the report"."""
    if not path.absolute().parent.is_dir():
        raise VidpercError(f"{path.absolute().parent}: no such folder, {what} cannot be written there")
    if path.is_dir():
        raise VidpercError(f"{option} {path}: is a folder, wanted the name of a file")
    if path.suffix.lower() != ending:
        raise VidpercError(f"{option} {path}: got the ending {path.suffix or 'none'}, wanted {ending}")


def write_json_file(path: Path, document: dict[str, Any], *, option: str) -> None:
    """Raises VidpercError when it cannot be written."""
    try:
        path.write_text(json.dumps(document, indent=2, default=str) + "\n", encoding="utf-8")
    except OSError as error:
        raise VidpercError(f"{option} {path}: cannot be written ({error.strerror})") from error
