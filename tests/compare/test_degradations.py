import cv2
import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from tests.clips import picture
from vidperc.compare.degradations import Degradation, eight_bits
from vidperc.ops.resize import resize


def frame(width: int = 96, height: int = 64) -> torch.Tensor:
    """Texture and noise, as an 8-bit file would hold it."""
    chance = np.random.default_rng(0).normal(0, 20, (height, width, 3))
    codes = (picture(3, width, height) + chance).clip(0, 255).round().astype(np.float32)
    return torch.from_numpy(codes / 255).permute(2, 0, 1).contiguous()


def codes(small: torch.Tensor) -> np.ndarray:
    return (small * 255).permute(1, 2, 0).numpy()


def test_bicubic_is_the_antialiased_one_in_8_bits() -> None:
    small = Degradation().shrink(frame(), 4)
    assert torch.equal(small, eight_bits(resize(frame()[None], (16, 24), "bicubic")[0]))
    assert np.allclose(codes(small), codes(small).round(), atol=1e-4)


def test_bd_in_the_corner_is_opencv_s_gaussian_and_every_4th_pixel() -> None:
    """The test pictures of TecoGAN's program: GaussianBlur(sigmaX=1.5), then [::4, ::4]."""
    small = Degradation(kind="bd", phase="corner").shrink(frame(), 4)
    blurred = cv2.GaussianBlur(codes(frame()), (0, 0), sigmaX=1.5)[::4, ::4]
    assert small.shape == (3, 16, 24)
    assert np.abs(codes(small) - blurred).max() <= 0.51  # rounded to 8 bits


@pytest.mark.parametrize("sigma", [1.5, 1.6])
def test_bd_in_the_centre_is_basicvsr_s(sigma: float) -> None:
    """imfilter by an even Gaussian of 2 ceil(3 sigma) + 2 taps, which replicates borders, then 2:4:end-2 from one."""
    taps = 2 * int(np.ceil(3 * sigma)) + 2
    places = np.arange(taps) - (taps - 1) / 2
    weights = np.exp(-0.5 * (places / sigma) ** 2)
    weights /= weights.sum()
    blurred = codes(frame()).astype(np.float64)
    for axis in (0, 1):
        # MATLAB's kernel has its origin at floor((taps + 1) / 2) from one, SciPy's at taps // 2 from zero.
        blurred = correlate1d(blurred, weights, axis=axis, mode="nearest", origin=-1)
    wanted = blurred[1:-2:4, 1:-2:4]
    small = Degradation(kind="bd", sigma=sigma).shrink(frame(), 4)
    assert np.abs(codes(small) - wanted).max() <= 0.51


@pytest.mark.parametrize(("phase", "site"), [("centre", 1.5), ("corner", 0.0)])
def test_a_small_pixel_sits_where_its_phase_says(phase: str, site: float) -> None:
    """Of a ramp, blurred or not, a pixel has the value of the place where it sits."""
    ramp = (torch.arange(128) / 255).expand(3, 64, 128).contiguous()
    small = Degradation(kind="bd", phase=phase).shrink(ramp, 4)
    wanted = torch.arange(32) * 4 + site
    assert (small[0, 8, 3:-3] * 255 - wanted[3:-3]).abs().max() <= 0.51


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("phase", ["centre", "corner"])
def test_what_is_even_stays_so_at_every_scale(scale: int, phase: str) -> None:
    small = Degradation(kind="bd", phase=phase).shrink(torch.full((3, 48, 72), 0.6), scale)
    assert small.shape == (3, 48 // scale, 72 // scale)
    assert torch.allclose(small, torch.full_like(small, 0.6), atol=1e-6)


def test_sides_that_the_scale_does_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="got 96x64, wanted sides that 5 divides"):
        Degradation().shrink(frame(), 5)


def test_names_tell_the_convention() -> None:
    assert Degradation().name == "bicubic"
    assert Degradation(kind="bd").name == "bd@sigma1.5,centre"
    assert Degradation(kind="bd", sigma=1.6, phase="corner").name == "bd@sigma1.6,corner"
