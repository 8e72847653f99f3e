import numpy as np
import pytest
import torch
from PIL import Image

from tests.clips import NO_TEST_DATA, TEST_DATA
from vidperc.metrics.psnr import psnr_rgb
from vidperc.perception.ssim import MS_SMALLEST, grey_codes, ms_ssim, ssim, ssim_grey, ssim_map, ssim_rgb, ssim_y601

needs_data = pytest.mark.skipif(TEST_DATA is None, reason=NO_TEST_DATA)

# What the authors of TID2013 publish: PSNR, SSIM, MS-SSIM.
OFFICIAL = {
    "I03": (21.11, 0.6993, 0.6733),
    "I04": (20.99, 0.9978, 0.9996),
    "I06": (27.01, 0.9989, 0.9998),
    "I08": (23.30, 0.9669, 0.9566),
    "I19": (21.62, 0.6519, 0.8462),
}


def pair(name: str) -> list[torch.Tensor]:
    assert TEST_DATA is not None
    folder = TEST_DATA / "images" / "tid2013_pairs"
    codes = [np.array(Image.open(folder / f"{name}_{kind}.png").convert("RGB")) for kind in ("ref", "dist")]
    return [torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255 for picture in codes]


def noisy(*shape: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Two pictures that are alike, from a fixed seed."""
    one, noise = torch.rand((2, *shape), generator=torch.Generator().manual_seed(0), dtype=dtype)
    return one, 0.7 * one + 0.3 * noise


@needs_data
@pytest.mark.parametrize("name", OFFICIAL)
def test_the_pairs_of_tid2013_have_their_official_values(name):
    one, other = pair(name)
    psnr, simple, multiple = OFFICIAL[name]
    assert f"{psnr_rgb(one, other).item():.2f}" == f"{psnr:.2f}"
    assert f"{ssim_grey(one, other).item():.4f}" == f"{simple:.4f}"
    # Theirs halves pictures in another way, which no program around reproduces.
    found = ms_ssim(grey_codes(one) / 255, grey_codes(other) / 255)
    assert found.item() == pytest.approx(multiple, abs=0.005)


@needs_data
def test_one_pair_has_a_value_for_every_convention():
    one, other = pair("I19")
    found = {
        "grey": ssim_grey(one, other),
        "rgb": ssim_rgb(one, other),
        "y601": ssim_y601(one, other),
        "downsampled": ssim_grey(one, other, downsample=True),
    }
    wanted = {"grey": "0.6519", "rgb": "0.6307", "y601": "0.6796", "downsampled": "0.7617"}
    assert {name: f"{value.item():.4f}" for name, value in found.items()} == wanted


def test_equal_pictures_are_at_one_and_the_order_does_not_matter():
    one, other = noisy(2, 3, MS_SMALLEST, MS_SMALLEST)
    for measure in (ssim, ms_ssim, ssim_rgb, ssim_grey, ssim_y601):
        assert torch.allclose(measure(one, one), torch.ones(2))
        assert torch.allclose(measure(one, other), measure(other, one)) and (measure(one, other) < 0.99).all()


def test_what_opencv_averages_is_what_torch_convolves():
    one, other = noisy(2, 3, 170, 165)
    for measure in (ssim, ms_ssim):
        with_gradients = measure(one.clone().requires_grad_(), other)
        assert with_gradients.requires_grad
        assert torch.allclose(measure(one, other), with_gradients, atol=1e-6)
    assert torch.allclose(ssim_map(one, other), ssim_map(one.clone().requires_grad_(), other), atol=1e-5)


def test_the_map_has_a_value_for_every_window():
    one, other = noisy(2, 3, 20, 31)
    found = ssim_map(one, other)
    assert found.shape == (2, 3, 10, 21)
    assert torch.allclose(found.mean(dim=(1, 2, 3)), ssim(one, other), atol=1e-6)


def test_black_against_white_has_its_published_value():
    # (c1 / (1 + c1)) (c2 / c2)
    found = ssim(torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64))
    assert found.item() == pytest.approx(9.999e-5, rel=1e-4)


@pytest.mark.filterwarnings("ignore")  # theirs
def test_values_are_those_of_other_programs():
    """pytorch-msssim, piq and torchmetrics, told to take no other size and the same range."""
    theirs, piq = pytest.importorskip("pytorch_msssim"), pytest.importorskip("piq")
    metrics = pytest.importorskip("torchmetrics.functional.image")
    one, other = noisy(2, 3, 176, 192)  # even sides at all five scales, where all halve alike
    found = ssim(one, other)
    assert torch.allclose(found, theirs.ssim(one, other, data_range=1.0, size_average=False), atol=1e-5)
    assert torch.allclose(found, piq.ssim(one, other, downsample=False, reduction="none"), atol=1e-5)
    # torchmetrics mirrors borders and means over them, too; inside, its map is ours.
    _, whole = metrics.structural_similarity_index_measure(one, other, data_range=1.0, return_full_image=True)
    assert torch.allclose(ssim_map(one, other), whole[..., 5:-5, 5:-5], atol=1e-5)
    found = ms_ssim(one, other)
    assert torch.allclose(found, theirs.ms_ssim(one, other, data_range=1.0, size_average=False), atol=1e-5)
    assert torch.allclose(found, piq.multi_scale_ssim(one, other, reduction="none"), atol=1e-5)


@pytest.mark.filterwarnings("ignore")  # theirs
def test_the_downsampled_value_is_that_of_piq():
    piq = pytest.importorskip("piq")
    one, other = noisy(1, 1, 400, 420)
    assert torch.allclose(ssim(one, other, downsample=True), piq.ssim(one, other, reduction="none"), atol=1e-5)


@pytest.mark.parametrize("measure", [ssim, ssim_map])
def test_the_gradient_is_that_of_finite_differences(measure):
    one, other = noisy(1, 2, 13, 14, dtype=torch.float64)
    one.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: measure(x, other), one)


def test_the_gradient_of_ms_ssim_is_that_of_finite_differences():
    one, other = noisy(1, 1, MS_SMALLEST, MS_SMALLEST, dtype=torch.float64)
    one.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ms_ssim(x, other), one, fast_mode=True)


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
@pytest.mark.parametrize("opposite", [False, True])
def test_the_gradient_is_finite_at_identity_and_where_structure_is_opposite(measure, opposite):
    picture = torch.rand(1, 3, 176, 176)
    changed = (1 - picture if opposite else picture.clone()).requires_grad_()
    found = measure(changed, picture)
    found.sum().backward()
    assert changed.grad.isfinite().all()
    if opposite and measure is ms_ssim:
        assert found == 0 and (changed.grad == 0).all()


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
def test_it_is_float32_under_autocast_and_for_half_precision(measure):
    one, other = noisy(1, 3, 176, 176)
    outside = measure(one, other)
    changed = one.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = measure(changed, other)
    inside.sum().backward()
    assert inside.dtype == torch.float32 and torch.allclose(inside, outside, atol=1e-6)
    assert changed.grad.isfinite().all()
    halved = measure(one.bfloat16(), other.bfloat16())
    assert halved.dtype == torch.float32 and torch.allclose(halved, outside, atol=0.01)
    assert measure(one.double(), other.double()).dtype == torch.float64


def test_ms_ssim_takes_its_smallest_size_and_odd_ones():
    for side in (MS_SMALLEST, 175, 177):
        one, other = noisy(1, 1, side, MS_SMALLEST)
        assert 0 < ms_ssim(one, other) < 1


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (torch.rand(1, 3, 170, 160), "ms-ssim: got 160x170, wanted sides of at least 161 px"),
        (torch.rand(1, 3, 170, 170) * 255, r"ms-ssim: got values from .* wanted \[0,1\]"),
        (torch.full((1, 3, 170, 170), torch.nan), r"ms-ssim: got values from nan"),
        (torch.rand(3, 170, 170), r"ms-ssim: got \(3, 170, 170\).*, wanted \(N,C,H,W\) floats"),
        (torch.zeros(1, 3, 170, 170, dtype=torch.uint8), "ms-ssim: got .*uint8, wanted"),
        (torch.rand(1, 3, 171, 170), "ms-ssim: .* wanted equal shapes"),
    ],
)
def test_what_is_no_pair_of_pictures_is_refused(picture, said):
    for one, other in ((picture, torch.rand(1, 3, 170, 170)), (torch.rand(1, 3, 170, 170), picture)):
        with pytest.raises(ValueError, match=said):
            ms_ssim(one, other)


def test_ssim_refuses_what_its_window_does_not_fit_in():
    with pytest.raises(ValueError, match="ssim: got 10x40, wanted sides of at least 11 px"):
        ssim(*torch.rand(2, 1, 1, 40, 10))
