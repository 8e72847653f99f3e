from __future__ import annotations

import kornia
import piq
import pytest
import pytorch_msssim

from tests.losses.made_up import pictures
from vidperc.losses.structure import ms_ssim_loss, ssim_loss


def test_ssim_is_that_of_kornia_without_its_padding() -> None:
    out, true = pictures(2, 3, 24, 30), pictures(2, 3, 24, 30, seed=1)
    theirs = kornia.losses.ssim_loss(out, true, 11, padding="valid")
    assert float(ssim_loss(out, true)) == pytest.approx(float(theirs), abs=1e-5)


def test_ssim_is_that_of_piq_without_its_shrinking() -> None:
    out, true = pictures(2, 3, 24, 30), pictures(2, 3, 24, 30, seed=1)
    theirs = piq.SSIMLoss(downsample=False)(out, true)
    assert 2 * float(ssim_loss(out, true)) == pytest.approx(float(theirs), abs=1e-5)


def test_ms_ssim_is_that_of_pytorch_msssim() -> None:
    true = pictures(2, 3, 176, 192)
    out = (true + 0.2 * pictures(2, 3, 176, 192, seed=1)) / 1.2
    theirs = 1 - pytorch_msssim.ms_ssim(out, true, data_range=1)
    assert float(ms_ssim_loss(out, true)) == pytest.approx(float(theirs), abs=1e-5)


def test_frames_of_clips_count_alike() -> None:
    out, true = pictures(2, 3, 3, 16, 16), pictures(2, 3, 3, 16, 16, seed=1)
    assert float(ssim_loss(out, true)) == pytest.approx(float(ssim_loss(out.flatten(0, 1), true.flatten(0, 1))))


def test_too_small_ones_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^ssim: got 10x40, wanted sides of at least 11 px"):
        ssim_loss(pictures(1, 3, 40, 10), pictures(1, 3, 40, 10))
    with pytest.raises(ValueError, match=r"^ms-ssim: got 120x200, wanted sides of at least 161 px"):
        ms_ssim_loss(pictures(1, 3, 200, 120), pictures(1, 3, 200, 120))
