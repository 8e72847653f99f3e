from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidperc.report.axis import LARGEST, Axis, axis_for, short_count

numbers = st.floats(-LARGEST, LARGEST)


@given(st.lists(numbers, min_size=1, max_size=8), st.integers(2, 8))
def test_every_finite_value_has_a_place_and_labels_differ(values: list[float], count: int) -> None:
    axis = axis_for(values)
    assert axis.low < axis.high
    for value in values:
        assert -1e-9 <= axis.place(value) <= 1 + 1e-9
    marks = axis.marks(count)
    assert 1 <= len(marks) <= 2 * count + 1
    assert all(-1e-6 <= axis.place(value) <= 1 + 1e-6 for value, _ in marks)
    labels = [label for _, label in marks]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize(
    ("low", "high", "count", "labels"),
    [
        (0, 1, 5, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (27.2, 28.6, 4, ["27.5", "28.0", "28.5"]),
        (-1, 1, 4, ["-1.0", "-0.5", "0", "0.5", "1.0"]),
        (0, 4e-4, 4, ["0", "1e-4", "2e-4", "3e-4", "4e-4"]),
        (0, 3e7, 3, ["0", "1e7", "2e7", "3e7"]),
    ],
)
def test_marks_are_round_numbers(low: float, high: float, count: int, labels: list[str]) -> None:
    assert [label for _, label in Axis(low, high).marks(count)] == ["0" if name == "0.0" else name for name in labels]


def test_marks_stand_where_their_labels_say() -> None:
    for axis in (Axis(0.013, 7.7), Axis(0.013, 7.7, powers=True), Axis(2e-9, 5e12, powers=True)):
        for value, label in axis.marks(4):
            assert float(label) == pytest.approx(value)


def test_values_far_apart_are_drawn_in_powers_of_ten() -> None:
    axis = axis_for([0.001, 1.0])
    assert axis.powers
    assert axis.place(math.sqrt(0.001)) == pytest.approx(0.5)
    assert not axis_for([0.5, 1.0]).powers
    assert not axis_for([-0.001, 1.0]).powers
    assert not axis_for([0.001, 1.0], powers=False).powers


@pytest.mark.parametrize("value", [0.0, 3.5, -2.0, 5e-324, 1e300])
def test_a_constant_is_in_the_middle(value: float) -> None:
    assert axis_for([value, value]).place(value) == pytest.approx(0.5)


def test_counts_of_steps_are_short() -> None:
    assert [short_count(value) for value in (0, 500, 1000, 2500, 20000, 1.5e6)] == [
        "0",
        "500",
        "1k",
        "2.5k",
        "20k",
        "1.5M",
    ]
