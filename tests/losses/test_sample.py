"""Ranges and spaces: what is declared is converted, what does not fit is refused."""

from __future__ import annotations

import pytest
import torch

from tests.losses.made_up import pictures
from vidperc.losses.sample import Sample, to_unit_rgb


def unit(picture: torch.Tensor, range_, space="rgb") -> torch.Tensor:
    return to_unit_rgb(picture, range_, space, term="l1", what="out")


def test_every_range_is_brought_to_the_same_picture() -> None:
    true = pictures(2, 3, 3, 4, 5)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (true - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    for range_, stored in (("unit", true), ("signed", true * 2 - 1), ("codes", true * 255), ("imagenet", normalised)):
        assert torch.allclose(unit(stored, range_), true, atol=1e-6), range_


def test_blue_first_and_grey_are_brought_to_rgb() -> None:
    true = pictures(2, 3, 4, 5)
    assert torch.equal(unit(true[:, [2, 1, 0]], "unit", "bgr"), true)
    assert torch.equal(unit(true[:, :1], "unit", "grey"), true[:, :1].expand(2, 3, 4, 5))


def test_half_precision_is_widened_and_double_is_kept() -> None:
    assert unit(pictures(1, 3, 4, 5).bfloat16(), "unit").dtype == torch.float32
    assert unit(pictures(1, 3, 4, 5).double(), "signed").dtype == torch.float64


@pytest.mark.parametrize(
    ("stored", "declared", "told"),
    [
        (pictures(1, 3, 9, 9) * 255, "unit", r"wanted \[0,1\], for the range is declared unit"),
        (pictures(1, 3, 9, 9) * 4 - 2, "unit", r"out has values from -1.\d+ to 1.\d+, wanted \[0,1\]"),
        (pictures(1, 3, 9, 9) * 255, "signed", r"wanted \[-1,1\], for the range is declared signed"),
        (pictures(1, 3, 9, 9) * 255, "imagenet", "declared imagenet"),
        (pictures(1, 3, 9, 9), "codes", "wanted 0 to 255, for the range is declared codes"),
    ],
)
def test_another_range_than_the_declared_one_is_refused(stored, declared, told) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        unit(stored, declared)
    assert str(caught.value).startswith("l1: out ")


def test_what_networks_overshoot_is_kept() -> None:
    over = pictures(1, 3, 10, 10) * 1.6 - 0.3
    assert torch.equal(unit(over, "unit"), over)
    wild = pictures(1, 3, 10, 10)
    wild[0, 0, 0, 0] = 7  # one of 300 values
    assert torch.equal(unit(wild, "unit"), wild)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("declared", ["unit", "signed", "codes", "imagenet"])
def test_what_is_no_number_is_refused(bad, declared) -> None:
    picture = pictures(1, 3, 10, 10)
    picture[0, 1, 2, 3] = bad
    with pytest.raises(ValueError, match=r"^l1: out holds NaN or infinity"):
        unit(picture, declared)


def test_a_black_frame_in_codes_is_one() -> None:
    black = torch.zeros(1, 3, 4, 4)
    black[0, 0, 0, 0] = 1
    assert float(unit(black, "codes").max()) == pytest.approx(1 / 255)


def test_another_number_of_channels_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^l1: out got \(1, 1, 4, 4\) torch.float32, wanted \(N,T,3,H,W\).*declared rgb"
    ):
        unit(pictures(1, 1, 4, 4), "unit")
    with pytest.raises(ValueError, match="declared grey"):
        unit(pictures(1, 3, 4, 4), "unit", "grey")
    with pytest.raises(ValueError, match=r"torch.uint8"):
        unit(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), "codes")


def test_an_unknown_range_or_space_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Sample.range: got '0-1', wanted one of unit, signed, codes, imagenet"):
        Sample(out=pictures(1, 3, 4, 4), range="0-1")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"Sample.space: got 'yuv', wanted rgb, bgr or grey"):
        Sample(out=pictures(1, 3, 4, 4), space="yuv")  # pyright: ignore[reportArgumentType]
