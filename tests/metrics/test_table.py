import pytest
import torch

from tests.clips import picture
from tests.perception.made_up import small_lpips
from vidperc.clip import Motion
from vidperc.errors import VidpercError
from vidperc.metrics.step import Moment, Step
from vidperc.metrics.table import DEFAULT, DETAIL, METRICS, MOVEMENT, Conditions, choose_metrics
from vidperc.perception.lpips import Lpips


def frame(index: int, width: int = 96, height: int = 64) -> torch.Tensor:
    return torch.from_numpy(picture(index, width, height)).permute(2, 0, 1).float() / 255


def still(height: int = 64, width: int = 96) -> Motion:
    return Motion(flow=torch.zeros(1, 2, height, width), visible=torch.ones(1, 1, height, width))


def step(larger: int = 1) -> Step:
    moments = [Moment(out=frame(k, 96 * larger, 64 * larger), true=frame(k)) for k in range(2)]
    return Step(before=moments[0], now=moments[1], motion=still())


def lpips() -> Lpips:
    return small_lpips(4)


def names(chosen: list[str], conditions: Conditions | None = None) -> list[str]:
    return [metric.name for metric in choose_metrics(chosen, conditions or Conditions())]


@pytest.mark.parametrize("conditions", [
    Conditions(), Conditions(larger=True), Conditions(crop=2), Conditions(motion="farneback,size270")
])  # fmt: skip
def test_every_name_carries_its_convention(conditions) -> None:
    chosen = names([name for name in METRICS if name != "lpips"], conditions)
    assert len(set(chosen)) == len(chosen)
    assert all("@" in name for name in chosen)
    for about in ("warping-error", "coverage", "flicker"):
        assert any(name.startswith(f"{about}@{conditions.motion}") for name in chosen)
    assert ("psnr@y601,crop2" in chosen) == (conditions.crop == 2)


def test_a_larger_video_has_no_psnr_but_a_downscale_consistency() -> None:
    chosen = names(["psnr", "tof"], Conditions(larger=True))
    assert chosen == [
        "downscale-consistency@rgb", "downscale-consistency@y601", "tof@farneback,downscaled", MOVEMENT,
        f"{DETAIL},downscaled",
    ]  # fmt: skip


@pytest.mark.parametrize("alone", [name for name in METRICS if name not in ("psnr", "lpips")])
def test_no_figure_about_time_comes_without_one_of_fidelity(alone: str) -> None:
    metrics = choose_metrics([alone], Conditions())
    assert metrics[0].name == "psnr@rgb"
    assert [metric.about for metric in metrics].count("fidelity") == 2
    assert [metric.name for metric in metrics[-2:]] == [MOVEMENT, DETAIL]


def test_fidelity_by_choice_is_enough() -> None:
    chosen = names(["tof", "lpips"], Conditions(lpips=lpips()))
    assert chosen == ["lpips@squeeze", "tof@farneback", MOVEMENT, DETAIL]


def test_the_order_is_that_of_the_table_and_nothing_comes_twice() -> None:
    assert names(["tof", "psnr", "tof"]) == names(["psnr", "tof"])


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(VidpercError, match="--metrics: got 'ssim', wanted some of psnr, lpips, warping-error"):
        names(["psnr", "ssim"])
    with pytest.raises(VidpercError, match="lpips needs its weights; name their folder with --weights"):
        names(["lpips"])


@pytest.mark.parametrize("larger", [1, 2])
def test_every_metric_gives_a_figure_of_a_step(larger: int) -> None:
    for metric in choose_metrics(list(METRICS), Conditions(larger=larger > 1, lpips=lpips())):
        for measure in (metric.measure, metric.of_true):
            if measure is not None:
                figure = measure(step(larger))
                assert isinstance(figure, float) and figure >= 0


def test_at_a_cut_only_what_is_of_one_frame_has_a_figure() -> None:
    for metric in choose_metrics(DEFAULT, Conditions()):
        figure = metric.measure(Step(now=step().now))
        assert (figure is not None) == (metric.about == "fidelity" or metric.name == DETAIL), metric.name


def test_identity_has_the_best_figures() -> None:
    same = [Moment(out=frame(k), true=frame(k)) for k in range(2)]
    found = {
        metric.name: metric.measure(Step(before=same[0], now=same[1], motion=still()))
        for metric in choose_metrics(["psnr", "tof", "lpips"], Conditions(lpips=lpips()))
    }
    assert found.pop(MOVEMENT) > 0 < found.pop(DETAIL)
    assert list(found.values()) == [100, 100, 0, 0]


def test_a_video_of_its_own_source_has_the_same_figures_as_it() -> None:
    same = [Moment(out=frame(k), true=frame(k)) for k in range(2)]
    for metric in choose_metrics(["warping-error", "flicker"], Conditions()):
        if metric.of_true is not None:
            now = Step(before=same[0], now=same[1], motion=still())
            assert metric.measure(now) == metric.of_true(now) != 0


def test_a_larger_frame_is_brought_down_by_antialiased_bicubic() -> None:
    large = frame(0, 192, 128)
    wanted = torch.nn.functional.interpolate(large[None], size=(64, 96), mode="bicubic", antialias=True)
    assert torch.equal(Moment(out=large, true=frame(0)).fitted, wanted[0])
    same = Moment(out=frame(1), true=frame(0))
    assert torch.equal(same.fitted, same.out)
