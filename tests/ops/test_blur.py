from __future__ import annotations

import cv2
import kornia
import numpy as np
import pytest
import torch

from vidperc.ops.blur import blur_and_pick
from vidperc.ops.resize import resize


def noise(frames: int = 2, height: int = 48, width: int = 72) -> torch.Tensor:
    return torch.rand((frames, 3, height, width), generator=torch.Generator().manual_seed(0))


def test_at_an_odd_scale_the_centre_is_kornia_s_blur_and_the_middle_pixel() -> None:
    """At even ones the centre lies between pixels, where no library's blur has a value."""
    blurred = kornia.filters.gaussian_blur2d(noise(), (13, 13), (1.5, 1.5), "replicate")
    assert torch.allclose(blur_and_pick(noise(), 3, 1.5), blurred[..., 1::3, 1::3], atol=1e-6)


@pytest.mark.parametrize("sigma", [0.5, 1.1, 1.8])
def test_with_a_scale_of_1_it_is_opencv_s_blur(sigma: float) -> None:
    reach = int(4 * sigma)
    made = blur_and_pick(noise(1), 1, sigma, centre=False)[0].permute(1, 2, 0).numpy()
    theirs = cv2.GaussianBlur(noise(1)[0].permute(1, 2, 0).numpy(), (2 * reach + 1,) * 2, sigma)
    assert np.abs(made - theirs).max() < 1e-5


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_its_pixels_sit_where_those_of_bicubic_do(scale: int) -> None:
    """Of smooth waves both show the same, up to what the blur takes; half a pixel aside they would differ by far."""
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    waves = torch.stack([torch.sin(x / 9), torch.sin(y / 9), torch.sin((x + y) / 13)])[None] / 2
    picked = blur_and_pick(waves, scale, 1.5)
    shrunk = resize(waves, (96 // scale, 96 // scale), "bicubic")
    inner = (..., slice(3, -3), slice(3, -3))
    assert (picked - shrunk)[inner].abs().max() < 0.012
    aside = blur_and_pick(waves, scale, 1.5, centre=False)
    assert (aside - shrunk)[inner].abs().max() > 0.02


def test_a_frame_does_not_depend_on_those_beside_it() -> None:
    frames = noise(3)
    alone = torch.cat([blur_and_pick(frame[None], 4, 1.5) for frame in frames])
    assert torch.equal(blur_and_pick(frames, 4, 1.5), alone)
