import pytest
import torch
import torch.nn.functional as F

from vidperc.metrics.detail import detail


def test_a_ramp_has_its_slope() -> None:
    across, down = torch.arange(24.0) * 3 / 255, torch.arange(20.0)[:, None] * 4 / 255
    assert detail((across + down).expand(3, -1, -1)) == pytest.approx(5, abs=1e-3)


def test_a_flat_picture_has_none() -> None:
    assert detail(torch.full((3, 20, 24), 0.3)) == 0
    assert detail(torch.rand(3, 1, 24)) == 0


def test_a_blurred_picture_has_less() -> None:
    noise = torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(0))
    assert detail(F.avg_pool2d(noise, 5, stride=1)) < 0.3 * detail(noise)
