from fractions import Fraction

import pytest
import torch

from tests.clips import picture
from vidperc.compare.comparison import Comparison, Series, score
from vidperc.metrics.metric import Conditions, Metric
from vidperc.metrics.step import Moment, Step
from vidperc.metrics.table import choose_metrics

FRAMES = 12


def frames(jitter: float = 0.0) -> list[torch.Tensor]:
    """Frames that move two pixels each, and whose brightness jitters by so much."""
    chance = torch.Generator().manual_seed(0)
    moving = (torch.from_numpy(picture(index, 96, 64)).permute(2, 0, 1).float() / 255 for index in range(FRAMES))
    return [0.1 + 0.8 * frame + jitter * (torch.rand(1, generator=chance) - 0.5) for frame in moving]


def smoothed(every: list[torch.Tensor], keep: float) -> list[torch.Tensor]:
    held = [every[0]]
    for frame in every[1:]:
        held.append(keep * held[-1] + (1 - keep) * frame)
    return held


def compared(out: list[torch.Tensor], true: list[torch.Tensor], *, cuts: tuple[int, ...] = ()) -> Comparison:
    moments = [Moment(out=one, true=other) for one, other in zip(out, true, strict=True)]
    steps = [
        (Fraction(k, 25), Step(now=now, before=None if k == 0 or k in cuts else moments[k - 1]))
        for k, now in enumerate(moments)
    ]
    return score(steps, choose_metrics(["psnr", "tof"], Conditions()))


def figures(found: Comparison, name: str) -> Series:
    return next(series for series in found.series if series.metric.name == name)


@pytest.mark.parametrize("jitter", [0.0, 0.05])
def test_a_video_that_moves_as_it_should_has_no_note(jitter: float) -> None:
    assert compared(frames(jitter), frames()).notes() == ()


def test_a_frozen_video_is_called_so_although_its_figures_over_time_are_low() -> None:
    still = [frames()[0]] * FRAMES
    moves, stands = compared(still, frames()).notes()
    assert moves.startswith("OUT moves 0.00 times as much as SOURCE: it is frozen, or smoothed over time")
    assert stands == "OUT stands still in 11 of the 11 steps in which SOURCE moves"


def test_a_video_smoothed_over_time_is_called_so() -> None:
    (note,) = compared(smoothed(frames(), 0.7), frames()).notes()
    assert "smoothed over time" in note


def test_a_blurred_video_is_called_so() -> None:
    grain = 0.1 * torch.randn(3, 64, 96, generator=torch.Generator().manual_seed(0))
    every = [frame + grain for frame in frames()]
    (note,) = compared([torch.nn.functional.avg_pool2d(frame, 5, 1, 2) for frame in every], every).notes()
    assert "times the detail of SOURCE: it is blurred" in note


def test_frames_shown_twice_are_counted() -> None:
    every = frames()
    twice = [every[index // 2 * 2] for index in range(FRAMES)]
    assert "OUT stands still in 6 of the 11 steps in which SOURCE moves" in compared(twice, every).notes()


def test_a_still_source_says_nothing_of_movement() -> None:
    still = [frames()[0]] * FRAMES
    assert compared(still, still).notes() == ()


def test_what_a_cut_separates_is_not_compared() -> None:
    every = frames()
    every[6:] = [1 - frame for frame in every[6:]]
    found = compared(every, every, cuts=(6,))
    assert found.shots == (0, 6)
    assert found.spans() == ((0, 6), (6, 12))
    assert [k for k, figure in enumerate(figures(found, "tof@farneback").out) if figure is None] == [0, 6]
    movement = figures(found, "movement@cells48")
    across = figures(compared(every, every), "movement@cells48")
    assert across.out[6] > 2 * max(figure for figure in movement.out if figure is not None)


def test_a_mean_is_over_frames_with_a_figure_and_may_drop_the_ends() -> None:
    figures = (None, 10.0, 1.0, 2.0, None, 6.0, 20.0)
    for drop, whole, part in ((0, 7.8, 13 / 3), (1, 3.0, 1.0), (2, 2.0, None), (3, None, None)):
        metric = Metric(name="made-up@nothing", about="time", measure=lambda step: None, drop=drop)
        series = Series(metric=metric, out=figures)
        assert series.mean() == pytest.approx(whole)
        assert series.mean(0, 4) == pytest.approx(part)


def test_little_coverage_is_told() -> None:
    seen = Metric(name="coverage@dis", about="basis", measure=lambda step: 0.3)
    still = Moment(out=frames()[0], true=frames()[0])
    movement = choose_metrics(["psnr"], Conditions())[-2]
    found = score([(Fraction(0), Step(now=still)), (Fraction(1), Step(now=still, before=still))], [seen, movement])
    assert found.notes() == (
        "only 30% of the pixels could be followed from frame to frame; the figures along the motion are about those",
    )
