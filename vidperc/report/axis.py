"""Axes of charts: where a value is, and which values are marked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

# Above this ratio of the largest to the smallest of positive values an axis counts in powers of ten.
_POWERS_FROM = 5.0
# What is larger cannot be reckoned with; what is smaller is zero.
LARGEST, _SMALLEST = 1e300, 1e-300
# What differs by less, as a share of its size, is drawn as constant: its labels would be alike.
_CONSTANT = 1e-6


@dataclass(frozen=True)
class Axis:
    """From the value `low` to the greater value `high`, evenly or in powers of ten."""

    low: float
    high: float
    powers: bool = False

    def place(self, value: float) -> float:
        """Where a value is: 0 at the low end, 1 at the high one."""
        if self.powers:
            low, high, value = (math.log10(x) for x in (self.low, self.high, value))
        else:
            low, high = self.low, self.high
        return (value - low) / (high - low)

    def marks(self, count: int) -> list[tuple[float, str]]:
        """About `count` values on the axis with round labels, upwards."""
        return _powers_marked(self.low, self.high, count) if self.powers else _evenly_marked(self.low, self.high, count)


def axis_for(values: Iterable[float], *, powers: bool | None = None) -> Axis:
    """An axis on which these values of at most LARGEST have room; from 0 to 1 for none.

    powers: whether it counts in powers of ten; None where the values are positive and far apart.
    """
    found = list(values)
    if not found:
        return Axis(0.0, 1.0)
    low, high = min(found), max(found)
    if powers is None:
        powers = low > _SMALLEST and high / _POWERS_FROM > low
    if powers:
        room = min((high / low) ** 0.04, 10.0)
        return Axis(low / room, high * room, powers=True)
    largest = max(abs(low), abs(high))
    if largest < _SMALLEST:
        room = 1.0
    elif high - low <= _CONSTANT * largest:
        room = 0.05 * largest
    else:
        room = 0.06 * (high - low)
    return Axis(low - room, high + room)


def short_count(value: float) -> str:
    """A count of steps as an axis has it: 500, 20k, 1.5M."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.6g}{name}"
    return f"{value:.6g}"


def _evenly_marked(low: float, high: float, count: int) -> list[tuple[float, str]]:
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((factor * power for factor in (1, 2, 5, 10)), key=lambda step: abs(math.log(step / rough)))
    first, last = math.ceil(low / step), math.floor(high / step)
    values = [place * step for place in range(first, last + 1)]
    plain = 1e-3 <= max(abs(low), abs(high)) < 1e6
    return [(value, _label(value, step, plain=plain)) for value in values]


def _powers_marked(low: float, high: float, count: int) -> list[tuple[float, str]]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    # Where there are few powers of ten, what is between them is marked too.
    choices = ((1, 2, 5), (1, 3), (1,))
    several = [[factor * 10.0**power for power in range(first, last + 1) for factor in factors] for factors in choices]
    inside = [[value for value in values if low <= value <= high] for values in several]
    values = next((values for values in inside if len(values) <= 2 * count), inside[-1])
    values = values[:: math.ceil(len(values) / (2 * count)) or 1]
    return [(value, _label(value, value, plain=1e-3 <= value < 1e6)) for value in values]


def _label(value: float, step: float, *, plain: bool) -> str:
    """A value that is a whole number of steps, with the digits that tell it from the next one.

    plain: without a power of ten.
    """
    if value == 0:
        return "0"
    step_digit = math.floor(math.log10(step) + 1e-9)
    if plain:
        return f"{value:.{max(0, -step_digit)}f}"
    digits = math.floor(math.log10(abs(value)) + 1e-9) - step_digit
    mantissa, power = f"{value:.{max(0, digits)}e}".split("e")
    return f"{mantissa}e{int(power)}"
