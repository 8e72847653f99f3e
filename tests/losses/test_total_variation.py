from __future__ import annotations

import kornia
import pytest
import torch
import torchmetrics.functional.image as metrics

from tests.losses.made_up import pictures
from vidperc.losses.total_variation import total_variation


def test_of_one_colour_it_is_zero() -> None:
    flat = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1).expand(2, 3, 8, 9)
    assert float(total_variation(flat)) == 0 == float(total_variation(flat, power=2))


def test_it_is_that_of_kornia() -> None:
    out = pictures(2, 3, 8, 9)
    theirs = kornia.losses.total_variation(out, reduction="mean").mean()
    assert float(total_variation(out)) == pytest.approx(float(theirs), rel=1e-6)


def test_times_the_number_of_steps_it_is_that_of_torchmetrics() -> None:
    out = pictures(1, 3, 8, 8)
    steps = 3 * 7 * 8  # across, and as many down
    assert float(total_variation(out)) * steps == pytest.approx(float(metrics.total_variation(out)), rel=1e-6)


def test_the_power_squares_the_steps() -> None:
    ramp = (torch.arange(5) * 0.1).expand(1, 3, 4, 5)
    assert float(total_variation(ramp)) == pytest.approx(0.1)
    assert float(total_variation(ramp, power=2)) == pytest.approx(0.01)
    with pytest.raises(ValueError, match="total-variation: got a power of 3"):
        total_variation(ramp, power=3)  # pyright: ignore[reportArgumentType]
