import pytest
import torch

from tests.clips import picture
from vidperc.clip import Motion
from vidperc.metrics.temporal_ssim import temporal_ssim
from vidperc.ops.color import rgb_luma
from vidperc.perception.ssim import ssim


def frame(index: int) -> torch.Tensor:
    return torch.from_numpy(picture(index, 96, 64)).permute(2, 0, 1).float() / 255


def shift(across: float, visible: torch.Tensor | None = None) -> Motion:
    flow = torch.zeros(1, 2, 64, 96)
    flow[:, 0] = across
    return Motion(flow=flow, visible=torch.ones(1, 1, 64, 96) if visible is None else visible)


def test_without_motion_it_is_the_ssim_of_neighbours() -> None:
    plain = ssim(rgb_luma(frame(1)[None]), rgb_luma(frame(0)[None]))
    assert temporal_ssim(frame(0), frame(1), shift(0)) == pytest.approx(float(plain), abs=1e-6)
    assert temporal_ssim(frame(0), frame(0), shift(0)) == pytest.approx(1, abs=1e-6)


def test_what_moves_with_its_source_is_alike_and_by_the_reversed_flow_it_is_not() -> None:
    before = frame(0)
    now = torch.roll(before, 5, dims=2)  # what is at p was at p - 5
    seen = torch.ones(1, 1, 64, 96)
    seen[..., :8] = 0  # what came round the edge
    along, against = (temporal_ssim(before, now, shift(across, seen)) for across in (-5, 5))
    assert along == pytest.approx(1, abs=1e-4)
    assert against is not None and against < 0.8


def test_windows_with_a_hidden_pixel_do_not_count() -> None:
    before, now = frame(0), frame(0).clone()
    now[:, 30, 40] = 1 - now[:, 30, 40]
    hidden = torch.ones(1, 1, 64, 96)
    hidden[..., 30, 40] = 0
    assert temporal_ssim(before, now, shift(0, hidden)) == pytest.approx(1, abs=1e-6)
    assert temporal_ssim(before, now, shift(0)) < 0.999


def test_there_is_no_figure_where_nothing_is_visible() -> None:
    assert temporal_ssim(frame(0), frame(1), shift(0, torch.zeros(1, 1, 64, 96))) is None
