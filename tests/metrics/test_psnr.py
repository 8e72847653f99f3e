import math

import numpy as np
import pytest
import torch
from PIL import Image

from tests.clips import NO_TEST_DATA, TEST_DATA
from vidperc.metrics.psnr import psnr, psnr_rgb, psnr_y601
from vidperc.ops.resize import resize


def read(*parts: str) -> torch.Tensor:
    """(1,3,H,W) RGB in [0,1] of an image of the test data."""
    if TEST_DATA is None:
        pytest.skip(NO_TEST_DATA)
    image = np.array(Image.open(TEST_DATA.joinpath("images", *parts)).convert("RGB"))
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


def noise(seed: int = 0, size: tuple[int, int] = (20, 24)) -> torch.Tensor:
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("measure", [psnr_rgb, psnr_y601])
def test_equal_pictures_have_100_db(measure) -> None:
    assert measure(noise(), noise()).tolist() == [100, 100]


@pytest.mark.parametrize("measure", [psnr_rgb, psnr_y601])
def test_the_order_does_not_matter(measure) -> None:
    assert torch.equal(measure(noise(), noise(1)), measure(noise(1), noise()))


def test_a_flat_error_has_the_psnr_of_its_size() -> None:
    one, other = (torch.full((1, 3, 8, 8), code / 255) for code in (100, 110))
    assert psnr_rgb(one, other).item() == pytest.approx(20 * math.log10(255 / 10))
    # 10 codes of RGB are 10 * 219/255 codes of limited-range luma.
    assert psnr_y601(one, other).item() == pytest.approx(20 * math.log10(255 / (10 * 219 / 255)), abs=1e-4)


def test_luma_has_the_weights_of_bt601() -> None:
    """The coefficients that the papers' MATLAB uses: 65.481, 128.553, 24.966 for RGB in [0,1]."""
    for channel, weight in enumerate((65.481, 128.553, 24.966)):
        other = torch.zeros(1, 3, 8, 8)
        other[:, channel] = 1
        wanted = 20 * math.log10(255 / weight)
        assert psnr_y601(torch.zeros(1, 3, 8, 8), other).item() == pytest.approx(wanted, abs=1e-4)


def test_each_frame_has_its_own_figure() -> None:
    one, other = noise(), noise(1)
    each = [psnr_rgb(one[k : k + 1], other[k : k + 1]).item() for k in range(2)]
    assert psnr_rgb(one, other).tolist() == pytest.approx(each)
    assert each[0] != each[1]


def test_a_cropped_border_does_not_count() -> None:
    one = noise()
    other = one.clone()
    other[..., :3, :], other[..., -3:, :], other[..., :3], other[..., -3:] = 1, 1, 1, 1
    assert psnr_rgb(one, other).max() < 50
    assert psnr_rgb(one, other, crop=3).tolist() == [100, 100]
    other[..., 3, 3] = 1
    assert psnr_rgb(one, other, crop=3).max() < 50


def test_what_8_bits_do_not_hold_does_not_count() -> None:
    codes = torch.arange(48.0).view(1, 3, 4, 4) / 255
    assert psnr_rgb(codes + 0.4 / 255, codes).item() == 100
    assert psnr_rgb(codes + 0.6 / 255, codes).item() == pytest.approx(20 * math.log10(255), abs=1e-4)
    assert psnr_rgb(torch.full((1, 3, 4, 4), 1.4), torch.ones(1, 3, 4, 4)).item() == 100


def test_pictures_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="wanted two equal"):
        psnr(noise(), noise(size=(20, 26)))
    with pytest.raises(ValueError, match="crop 10 leaves nothing of 24x20"):
        psnr(noise(), noise(1), crop=10)


@pytest.mark.parametrize(
    ("pair", "published"), [("I03", 21.11), ("I04", 20.99), ("I06", 27.01), ("I08", 23.30), ("I19", 21.62)]
)
def test_the_calibration_pairs_have_their_published_psnr(pair: str, published: float) -> None:
    found = psnr_rgb(read("tid2013_pairs", f"{pair}_ref.png"), read("tid2013_pairs", f"{pair}_dist.png"))
    assert found.item() == pytest.approx(published, abs=0.0051)  # they are rounded to two digits


@pytest.mark.parametrize(("scale", "published"), [(2, 33.66), (4, 28.42)])
def test_bicubic_has_its_published_luma_psnr_on_set5(scale: int, published: float) -> None:
    """Source of the figures: W. Shi et al., "Real-Time Single Image and Video Super-Resolution", 2016."""
    found: list[float] = []
    for name in ("baby", "bird", "butterfly", "head", "woman"):
        large = read("set5", f"{name}.png")
        height, width = (side // scale * scale for side in large.shape[-2:])
        large = large[..., :height, :width].contiguous()
        small = resize(large, (height // scale, width // scale), "bicubic").clamp(0, 1).mul(255).round().div(255)
        made = resize(small, (height, width), "bicubic")
        found.append(psnr_y601(made, large, crop=scale).item())
    # Theirs is MATLAB's imresize, which mirrors at the border.
    assert np.mean(found) == pytest.approx(published, abs=0.05)
