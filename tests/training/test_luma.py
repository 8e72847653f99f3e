from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.clips import TEST_DATA
from vidperc.ops.color import rgb_luma
from vidperc.training.images import Pair, make_pairs, read_images
from vidperc.training.luma import luma_loss, luma_psnr, missing_from_bicubic


class Gives(nn.Module):
    """A network that always gives the same."""

    def __init__(self, made: Tensor) -> None:
        super().__init__()
        self.made = made

    def forward(self, _: Tensor) -> Tensor:
        return self.made


def crops(scale: int) -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, 9, 7, generator=chance), torch.rand(2, 3, 9 * scale, 7 * scale, generator=chance)


def nothing(rgb: Tensor, scale: int) -> Tensor:
    return rgb.new_zeros(1, scale * scale, *rgb.shape[-2:])


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_and_what_it_lacks_are_the_large_picture(scale: int) -> None:
    small, large = (rgb_luma(picture) for picture in crops(scale))
    lacking = missing_from_bicubic(small, large)
    assert lacking.shape == (2, scale * scale, 9, 7)
    base = F.interpolate(small, size=large.shape[-2:], mode="bicubic", align_corners=False, antialias=True)
    torch.testing.assert_close(base + F.pixel_shuffle(lacking, scale), large)


@pytest.mark.parametrize("scale", [2, 4])
def test_the_loss_is_a_thousandth_when_the_network_gives_what_lacks(scale: int) -> None:
    small, large = crops(scale)
    lacking = missing_from_bicubic(rgb_luma(small), rgb_luma(large))
    # The Charbonnier distance of 0 is epsilon.
    assert float(luma_loss(Gives(lacking), small, large)) == pytest.approx(1e-3, rel=1e-5)
    # Far from zero it is the absolute distance.
    assert float(luma_loss(Gives(lacking + 0.5), small, large)) == pytest.approx(0.5, rel=1e-5)
    assert float(luma_loss(Gives(lacking - 0.5), small, large)) == pytest.approx(0.5, rel=1e-5)


def grey(height: int, width: int, code: int) -> np.ndarray:
    return np.full((height, width, 3), code, np.uint8)


def test_a_flat_error_has_the_psnr_of_its_size() -> None:
    measure = luma_psnr([Pair(grey(20, 24, 110), grey(10, 12, 100))])
    # 10 codes of RGB are 10 * 219/255 codes of limited-range luma.
    wanted = 20 * math.log10(255 / (10 * 219 / 255))
    assert measure(lambda rgb: nothing(rgb, 2)) == pytest.approx(wanted, abs=1e-3)
    assert measure(lambda rgb: nothing(rgb, 2) + 10 / 255) > 100


def test_the_figure_is_the_mean_over_the_pairs() -> None:
    one, two = (Pair(grey(20, 24, 100 + error), grey(10, 12, 100)) for error in (5, 20))
    each = [luma_psnr([pair])(lambda rgb: nothing(rgb, 2)) for pair in (one, two)]
    assert luma_psnr([one, two])(lambda rgb: nothing(rgb, 2)) == pytest.approx(sum(each) / 2)


@pytest.mark.parametrize("scale", [2, 4])
def test_a_border_of_the_scale_does_not_count(scale: int) -> None:
    large = grey(10 * scale, 12 * scale, 100)
    inside = large.copy()
    inside[scale:-scale, scale:-scale] = 110
    for changed, same in ((inside, False), (large + (grey(10 * scale, 12 * scale, 110) - inside), True)):
        figure = luma_psnr([Pair(changed, grey(10, 12, 100))])(lambda rgb: nothing(rgb, scale))
        assert (figure > 100) == same


def test_what_is_made_is_clamped_before_it_is_measured() -> None:
    measure = luma_psnr([Pair(grey(20, 24, 255), grey(10, 12, 255))])
    assert measure(lambda rgb: nothing(rgb, 2) + 3) > 100


@pytest.mark.parametrize(("scale", "published"), [(2, 33.66), (4, 28.42)])
def test_bicubic_has_its_published_psnr_on_set5(scale: int, published: float) -> None:
    """Source of the figures: W. Shi et al., "Real-Time Single Image and Video Super-Resolution", 2016."""
    if TEST_DATA is None:
        pytest.skip("VIDPERC_TEST_DATA is not set; it names the folder of test images")
    pairs = make_pairs(read_images([TEST_DATA / "images" / "set5"]), scale=scale, sizes=(1,), patch=16)
    found = luma_psnr(pairs)(lambda rgb: nothing(rgb, scale))
    # Theirs is MATLAB's imresize, which mirrors at the border and rounds the result.
    assert found == pytest.approx(published, abs=0.05)
