"""Amounts of memory as people write them."""

from __future__ import annotations

import re

from vidperc.errors import VidpercError

_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([KMGT]?)(i?B)?", re.IGNORECASE)


def parse_bytes(text: str, option: str) -> int:
    """Bytes from "2GiB", "2G", "1500M" or "1500MB"; K, M, G and T are powers of 1024, but KB, MB, GB, TB of 1000.

    Raises VidpercError naming the option.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise VidpercError(f"{option} {text}: not an amount of memory, wanted such as 2GiB, 1500M or 8G")
    number, unit, tail = found.groups()
    base = 1000 if (tail or "").upper() == "B" and unit else 1024
    return int(float(number) * base ** _POWERS[unit.upper()])
