import pytest
import torch

from tests.clips import picture
from vidperc.metrics.movement import movement


def frame(index: int, size: tuple[int, int] = (192, 144)) -> torch.Tensor:
    return torch.from_numpy(picture(index, *size)).permute(2, 0, 1).float() / 255


def test_what_does_not_change_does_not_move() -> None:
    assert movement(frame(3), frame(3)) == 0


def test_a_change_of_brightness_is_as_large_as_it_is() -> None:
    dark, light = (torch.full((3, 100, 60), code / 255) for code in (100, 110))
    assert movement(dark, light) == pytest.approx(10, abs=1e-3)


def test_noise_averages_away() -> None:
    chance = torch.Generator().manual_seed(0)
    noisy = [0.5 + 0.1 * torch.randn(3, 480, 480, generator=chance) for _ in range(2)]
    # 25 codes of noise, in cells of 100 pixels, with three colours in each: a tenth, and the luma's weights.
    assert movement(*noisy) < 0.1 * 255 * 0.1
    assert movement(frame(0), frame(1)) > 3


def test_frames_below_the_grid_are_taken_as_they_are() -> None:
    assert movement(torch.zeros(3, 5, 7), torch.ones(3, 5, 7)) == pytest.approx(255)
