"""Real pictures declared to be what they are pass, and which wrong declarations are seen is what the guide says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from tests.clips import NO_TEST_DATA, TEST_DATA
from tests.losses.made_up import pictures
from vidperc.losses.sample import to_unit_rgb

needs_data = pytest.mark.skipif(TEST_DATA is None, reason=NO_TEST_DATA)
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
STORED = {
    "unit": lambda unit: unit,
    "signed": lambda unit: unit * 2 - 1,
    "codes": lambda unit: unit * 255,
    "imagenet": lambda unit: (unit - MEAN) / DEVIATION,
}


def passes(stored: Tensor, declared, what: str = "true") -> bool:
    try:
        to_unit_rgb(stored, declared, "rgb", term="l1", what=what)
    except ValueError as error:
        assert f"declared {declared}" in str(error)
        return False
    return True


def real() -> list[Tensor]:
    """(1,3,H,W) in [0,1], of 8 bits."""
    assert TEST_DATA is not None
    files: list[Path] = sorted((TEST_DATA / "images" / "kodak24").glob("*.png"))
    files += sorted((TEST_DATA / "images" / "set5").glob("*.png"))
    found = [np.array(Image.open(file).convert("RGB")) for file in files]
    assert len(found) > 10
    return [torch.from_numpy(array).permute(2, 0, 1)[None].float() / 255 for array in found]


def half(unit: Tensor) -> Tensor:
    return F.interpolate(unit, scale_factor=0.5, mode="bicubic", antialias=True)


@needs_data
@pytest.mark.parametrize("declared", list(STORED))
def test_real_pictures_pass_for_what_they_are_also_dark_bright_flat_resampled_and_cut(declared) -> None:
    for unit in real():
        kinds = [
            unit,
            half(unit),
            half(unit).clamp(0, 1),
            (unit * 8).round() / 255,
            half(unit) * 0.03,
            unit[..., :16, :16],
        ]
        kinds += [((0.4 + 0.2 * unit) * 255).round() / 255, ((0.6 + 0.4 * unit) * 255).round() / 255]
        for what in ("true", "out", "source"):
            for kind in kinds:
                assert passes(STORED[declared](kind), declared, what)
        frames = torch.stack([torch.zeros_like(unit[0]), torch.ones_like(unit[0])])
        for constant in (frames, frames[:1], frames[1:], frames * 0.5):
            assert passes(STORED[declared](constant), declared)


@needs_data
@pytest.mark.parametrize("declared", list(STORED))
@pytest.mark.parametrize("actual", list(STORED))
def test_true_of_8_bits_is_refused_for_nearly_anything_else(actual, declared) -> None:
    seen = [not passes(STORED[actual](unit), declared) for unit in real()]
    if actual == declared:
        assert not any(seen)
    elif (actual, declared) == ("imagenet", "signed"):
        assert sum(seen) >= 0.9 * len(seen)
    else:
        assert all(seen)


@needs_data
def test_resampled_true_is_refused_where_the_guide_says_so() -> None:
    found = [half(unit) for unit in real()]
    for actual, declared in (
        ("signed", "unit"),
        ("imagenet", "unit"),
        ("codes", "unit"),
        ("codes", "signed"),
        ("codes", "imagenet"),
        ("unit", "codes"),
        ("signed", "codes"),
        ("imagenet", "codes"),
    ):
        seen = [not passes(STORED[actual](unit), declared) for unit in found]
        assert sum(seen) >= 0.9 * len(seen), (actual, declared)
    # Their values alone do not tell.
    for actual, declared in (("unit", "signed"), ("unit", "imagenet"), ("signed", "imagenet")):
        assert all(passes(STORED[actual](unit), declared) for unit in found), (actual, declared)


def test_what_networks_make_at_first_passes_in_any_range() -> None:
    noise = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.1
    for declared in STORED:
        for what in ("out", "back"):
            assert passes(noise, declared, what) and passes(torch.zeros(1, 3, 8, 8), declared, what)
    assert passes(pictures(1, 3, 9, 9) - 0.5, "signed", "out")


def test_the_sign_is_told() -> None:
    unit = torch.tensor([0.0, 51.0, 102.0, 255.0]).view(1, 1, 2, 2).expand(1, 3, 2, 2) / 255
    for stored, declared, told in (
        (unit, "signed", "nothing below 0, and 0 itself"),
        (unit.clamp(min=2 / 255), "signed", "even ones among them"),
        (unit / 2 - 0.1, "unit", None),
        (unit - 0.2, "unit", "negative whole 255ths"),
        (unit, "imagenet", "bounds of exactly 0 and 1"),
        (unit.clamp(2 / 255, 254 / 255), "imagenet", "whole 255ths"),
        (unit * 4 - 2, "codes", "black and less"),
        (unit, "codes", "all but black"),
    ):
        if told is None:
            assert passes(stored, declared)
            continue
        with pytest.raises(ValueError, match=rf"^l1: true has values from .*{told}.*, wanted .*declared {declared}"):
            to_unit_rgb(stored, declared, "rgb", term="l1", what="true")
