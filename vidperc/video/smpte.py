"""Timecodes as film and broadcast count them, HH:MM:SS:FF, moved to the picture that an excerpt begins with."""

from __future__ import annotations

import re
from fractions import Fraction

_SPELLED = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d+)")
_DROPPING = frozenset({Fraction(30000, 1001), Fraction(60000, 1001)})


def moved_timecode(text: str, rate: Fraction, seconds: Fraction, *, new_rate: Fraction | None = None) -> str | None:
    """The timecode of the picture that is shown `seconds` after the one that has the timecode `text`.

    rate: pictures per second that the timecode counts. new_rate: that the answer counts, else the same.
    A ";" before the frames leaves out the numbers that SMPTE ST 12 drops, where the rate has them; a day is followed
    by the first picture of the next. None where the text is no timecode of this rate.
    """
    found = _SPELLED.fullmatch(text.strip())
    numbers, new_numbers = round(rate), round(new_rate or rate)
    if found is None or numbers < 1 or int(found[5]) >= numbers:
        return None
    hours, minutes, whole, frames = (int(found[place]) for place in (1, 2, 3, 5))
    dropping = found[4] != ":" and rate in _DROPPING
    count = ((hours * 60 + minutes) * 60 + whole) * numbers + frames
    if dropping:
        count -= _dropped(numbers) * (hours * 60 + minutes - (hours * 60 + minutes) // 10)
    count = round((count + seconds * rate) * Fraction(new_numbers, numbers))
    if dropping:
        count = _with_dropped(count, new_numbers)
    clock, frames = divmod(count, new_numbers)
    width = len(found[5])
    return f"{clock // 3600 % 24:02d}:{clock // 60 % 60:02d}:{clock % 60:02d}{found[4]}{frames:0{width}d}"


def _dropped(numbers: int) -> int:
    """How many numbers every minute leaves out, but for every tenth."""
    return numbers // 15


def _with_dropped(count: int, numbers: int) -> int:
    """The number, among all, of a picture that is the count-th of those with a number."""
    drop = _dropped(numbers)
    minute = numbers * 60 - drop
    tens, rest = divmod(count, 10 * minute + drop)
    later = max(0, rest - numbers * 60)
    begun = 0 if rest < numbers * 60 else 1 + later // minute
    return count + drop * (9 * tens + begun)
