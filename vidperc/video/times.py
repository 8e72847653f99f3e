"""Spans of time as people write them."""

from __future__ import annotations

import re
from fractions import Fraction

from vidperc.errors import VidpercError

_UNITS = {"": Fraction(1), "ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60), "h": Fraction(3600)}
_NUMBER = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ms|s|m|h|)")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d*)?)")

MOST_RATE = 1000
MOST_TERM = 1_000_000  # of a rate as a fraction


def parse_seconds(text: str, option: str) -> Fraction:
    """Seconds from "90", "1.5", "10s", "500ms", "2m", "1:30" or "0:01:30.5", exactly.

    Raises VidpercError naming the option.
    """
    clock = _CLOCK.fullmatch(text.strip())
    if clock is not None:
        hours, minutes, seconds = clock.groups()
        return Fraction(hours or 0) * 3600 + Fraction(minutes) * 60 + Fraction(seconds)
    number = _NUMBER.fullmatch(text.strip())
    if number is None:
        raise VidpercError(f"{option} {text}: not a time, wanted seconds (90, 10s, 2m) or a clock (1:30, 0:01:30.5)")
    return Fraction(number[1]) * _UNITS[number[2]]


def timecode(seconds: Fraction) -> str:
    """HH:MM:SS.mmm, to the nearest thousandth of a second."""
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def parse_rate(text: str, option: str) -> Fraction:
    """A frame rate, in frames per second, from text such as 24, 23.976 or 24000/1001.

    Raises VidpercError for anything else, and for rates that no video has.
    """
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= MOST_RATE or rate.numerator > MOST_TERM or rate.denominator > MOST_TERM:
        raise VidpercError(f"{option} {text}: wanted frames a second, such as 24 or 30000/1001, at most {MOST_RATE}")
    return rate
