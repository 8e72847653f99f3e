import numpy as np
import pytest
import torch

from vidperc.clip import Motion
from vidperc.metrics.flicker import flicker
from vidperc.metrics.warping_error import coverage, warping_error


def texture(seed: int, height: int = 40, width: int = 60) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def motion(across: float, down: float, *, visible: torch.Tensor | None = None) -> Motion:
    flow = torch.tensor([float(across), float(down)]).view(1, 2, 1, 1).expand(1, 2, 40, 60).contiguous()
    return Motion(flow=flow, visible=torch.ones(1, 1, 40, 60) if visible is None else visible)


@pytest.mark.parametrize("measure", [warping_error, flicker])
def test_what_stays_the_same_has_none(measure) -> None:
    assert measure(texture(0), texture(0), motion(0, 0)) == 0


@pytest.mark.parametrize("measure", [warping_error, flicker])
def test_what_moves_by_whole_pixels_along_its_motion_has_none_inside(measure) -> None:
    """The picture moves 3 right and 2 down, so that each place was 3 left and 2 up before: the flow is (-3, -2)."""
    before = texture(0)
    now = torch.roll(before, (2, 3), dims=(1, 2))
    inside = torch.zeros(1, 1, 40, 60)
    inside[..., 2:, 3:] = 1
    assert measure(before, now, motion(-3, -2, visible=inside)) == pytest.approx(0, abs=1e-5)
    # The reverse direction is no small mistake.
    inside = torch.zeros(1, 1, 40, 60)
    inside[..., 2:-2, 3:-3] = 1
    assert measure(before, now, motion(3, 2, visible=inside)) > (0.1 if measure is warping_error else 30)


def test_the_error_is_the_mean_square_over_visible_pixels_and_channels() -> None:
    before, now = texture(0), texture(1)
    seen = (torch.rand(1, 1, 40, 60, generator=torch.Generator().manual_seed(2)) < 0.3).float()
    wanted = np.square((now - before).numpy())[:, seen[0, 0].numpy() > 0].mean()
    assert warping_error(before, now, motion(0, 0, visible=seen)) == pytest.approx(float(wanted), rel=1e-5)
    assert coverage(motion(0, 0, visible=seen)) == pytest.approx(float(seen.mean()))


@pytest.mark.parametrize("measure", [warping_error, flicker])
def test_hidden_pixels_do_not_count(measure) -> None:
    before = texture(0)
    now = before.clone()
    now[:, 10:20, 10:30] = 1 - now[:, 10:20, 10:30]
    seen = torch.ones(1, 1, 40, 60)
    assert measure(before, now, motion(0, 0, visible=seen)) > 0
    seen[..., 10:20, 10:30] = 0
    assert measure(before, now, motion(0, 0, visible=seen)) == 0


@pytest.mark.parametrize("measure", [warping_error, flicker])
def test_where_nothing_is_visible_there_is_no_figure(measure) -> None:
    assert measure(texture(0), texture(1), motion(0, 0, visible=torch.zeros(1, 1, 40, 60))) is None


@pytest.mark.parametrize("measure", [warping_error, flicker])
def test_the_motion_of_a_smaller_source_is_taken_at_the_size_of_the_frame(measure) -> None:
    """Twice the pixels, twice the vectors: 4 px at twice the size are 2 px of the source."""
    before = texture(0, 80, 120)
    now = torch.roll(before, 4, dims=2)
    seen = torch.ones(1, 1, 40, 60)
    seen[..., :2] = 0
    assert measure(before, now, motion(-2, 0, visible=seen)) == pytest.approx(0, abs=1e-5)


def test_less_jitter_is_less_error() -> None:
    still = torch.nn.functional.avg_pool2d(texture(0, 48, 68)[None], 9, stride=1)[0]
    found = [warping_error(still, torch.roll(still, jitter, dims=2), motion(0, 0)) for jitter in (0, 1, 3)]
    assert found[0] == 0 < found[1] < found[2]


def test_flicker_passes_changes_of_brightness() -> None:
    still = texture(0) * 0.5
    assert flicker(still, still + 0.1, motion(0, 0)) == pytest.approx(0, abs=1e-3)
    assert warping_error(still, still + 0.1, motion(0, 0)) == pytest.approx(0.01, rel=1e-4)


def test_flicker_of_a_checkerboard_that_inverts_is_its_height_in_codes() -> None:
    board = ((torch.arange(40)[:, None] + torch.arange(60)) % 2 * (20 / 255)).expand(3, -1, -1)
    # A little is lost at the borders, where the local mean sees one side only.
    assert flicker(board, 20 / 255 - board, motion(0, 0)) == pytest.approx(20, rel=0.02)
