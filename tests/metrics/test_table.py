import pytest
import torch

from tests.clips import picture
from tests.metrics import made_up
from tests.perception.made_up import small_lpips
from vidperc.clip import Motion
from vidperc.errors import VidpercError
from vidperc.metrics.metric import Conditions, Metric, WholeMetric
from vidperc.metrics.networks import Networks
from vidperc.metrics.over_time import DETAIL, MOVEMENT
from vidperc.metrics.step import Moment, Step
from vidperc.metrics.table import DEFAULT, METRICS, choose_metrics


def frame(index: int, width: int = 96, height: int = 64) -> torch.Tensor:
    return torch.from_numpy(picture(index, width, height)).permute(2, 0, 1).float() / 255


def still(height: int = 64, width: int = 96) -> Motion:
    return Motion(flow=torch.zeros(1, 2, height, width), visible=torch.ones(1, 1, height, width))


def step(larger: int = 1) -> Step:
    moments = [Moment(out=frame(k, 96 * larger, 64 * larger), true=frame(k)) for k in range(2)]
    return Step(before=moments[0], now=moments[1], motion=still())


NETWORKS = made_up.networks()
# vmaf asks for a program that is installed; it has tests of its own.
HERE = [name for name in METRICS if name != "vmaf"]


def names(chosen: list[str], conditions: Conditions | None = None) -> list[str]:
    return [metric.name for metric in choose_metrics(chosen, conditions or Conditions())]


@pytest.mark.parametrize("conditions", [
    Conditions(networks=NETWORKS), Conditions(larger=True, networks=NETWORKS), Conditions(crop=2, networks=NETWORKS),
    Conditions(motion="farneback,size270", networks=NETWORKS),
])  # fmt: skip
def test_every_name_carries_its_convention(conditions) -> None:
    chosen = names(HERE, conditions)
    assert len(set(chosen)) == len(chosen)
    assert all("@" in name for name in chosen)
    for about in ("warping-error", "coverage", "flicker"):
        assert any(name.startswith(f"{about}@{conditions.motion}") for name in chosen)
    for about in ("psnr@y601", "ssim@y601", "ms-ssim@y601"):
        assert (f"{about},crop2" in chosen) == (conditions.crop == 2)
    if conditions.larger:
        alone = {name.partition("@")[0] for name in chosen if not name.endswith(",downscaled")}
        assert alone == {
            "downscale-consistency", "warping-error", "coverage", "temporal-ssim", "flicker", "movement", "fvd"
        }  # fmt: skip


def test_a_larger_video_has_no_psnr_but_a_downscale_consistency() -> None:
    chosen = names(["psnr", "tof"], Conditions(larger=True))
    assert chosen == [
        "downscale-consistency@rgb", "downscale-consistency@y601", "tof@farneback,downscaled", MOVEMENT,
        f"{DETAIL},downscaled",
    ]  # fmt: skip


ABOUT_TIME = ("warping-error", "temporal-ssim", "flicker", "tof", "tof-paper", "tlp")


@pytest.mark.parametrize("alone", ABOUT_TIME)
def test_no_figure_about_time_comes_without_one_of_fidelity(alone: str) -> None:
    metrics = choose_metrics([alone], Conditions(networks=NETWORKS))
    assert metrics[0].name == "psnr@rgb"
    assert [metric.about for metric in metrics].count("fidelity") == 2
    assert [metric.name for metric in metrics[-2:]] == [MOVEMENT, DETAIL]


def test_fidelity_by_choice_is_enough() -> None:
    chosen = names(["tof", "lpips"], Conditions(networks=NETWORKS))
    assert chosen == ["lpips@squeeze", "tof@farneback", MOVEMENT, DETAIL]


def test_the_order_is_that_of_the_table_and_nothing_comes_twice() -> None:
    assert names(["tof", "psnr", "tof"]) == names(["psnr", "tof"])


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(VidpercError, match="--metrics: got 'sharpness', wanted some of psnr, ssim, ms-ssim, lpips"):
        names(["psnr", "sharpness"])
    for name in ("lpips", "tlp", "flolpips", "dists", "fvd"):
        with pytest.raises(ValueError, match=f"{name}: wanted its network in the conditions"):
            names([name])


@pytest.mark.parametrize("larger", [1, 2])
def test_every_metric_gives_a_figure_of_a_step(larger: int) -> None:
    sized = [Moment(out=frame(k, 240 * larger, 176 * larger), true=frame(k + 1, 240, 176)) for k in range(2)]
    taken = Step(before=sized[0], now=sized[1], motion=still(176, 240))
    for metric in choose_metrics(HERE, Conditions(larger=larger > 1, networks=NETWORKS)):
        if isinstance(metric, WholeMetric):
            continue
        for measure in (metric.measure, metric.of_true):
            if measure is not None:
                figure = measure(taken)
                assert isinstance(figure, float) and figure >= 0, metric.name


def test_at_a_cut_only_what_is_of_one_frame_has_a_figure() -> None:
    per_frame = ("psnr", "ssim", "lpips", "dists", "detail")
    for metric in choose_metrics([*DEFAULT, "ssim", "lpips", "dists", *ABOUT_TIME], Conditions(networks=NETWORKS)):
        assert isinstance(metric, Metric)
        figure = metric.measure(Step(now=step().now))
        assert (figure is not None) == (metric.name.partition("@")[0] in per_frame), metric.name


def test_identity_has_the_best_figures() -> None:
    same = [Moment(out=frame(k), true=frame(k)) for k in range(2)]
    chosen = ["psnr", "ssim", "tof", "tlp", "lpips", "flolpips", "dists"]
    found = {
        metric.name.partition("@")[0]: metric.measure(Step(before=same[0], now=same[1], motion=still()))
        for metric in choose_metrics(chosen, Conditions(networks=NETWORKS))
    }
    assert found.pop("movement") > 0 < found.pop("detail")
    assert found.pop("ssim") == pytest.approx(1, abs=1e-6)
    assert found == {"psnr": 100, "lpips": 0, "dists": 0, "flolpips": 0, "tof": 0, "tlp100": 0}


def test_a_video_of_its_own_source_has_the_same_figures_as_it() -> None:
    same = [Moment(out=frame(k), true=frame(k)) for k in range(2)]
    for metric in choose_metrics(["warping-error", "flicker", "temporal-ssim"], Conditions()):
        if metric.of_true is not None:
            now = Step(before=same[0], now=same[1], motion=still())
            assert metric.measure(now) == metric.of_true(now) != 0


def test_a_larger_frame_is_brought_down_by_antialiased_bicubic() -> None:
    large = frame(0, 192, 128)
    wanted = torch.nn.functional.interpolate(large[None], size=(64, 96), mode="bicubic", antialias=True)
    assert torch.equal(Moment(out=large, true=frame(0)).fitted, wanted[0])
    same = Moment(out=frame(1), true=frame(0))
    assert torch.equal(same.fitted, same.out)


def test_the_features_of_a_frame_are_computed_once() -> None:
    """Three metrics of four pictures each look at four pictures in all."""
    seen: list[int] = []
    lpips = small_lpips(4, 6)
    lpips.backbone.register_forward_hook(lambda _module, given, _found: seen.append(len(given[0])))
    now = step()
    conditions = Conditions(networks=Networks(lpips=lpips))
    chosen = [m for m in choose_metrics(["lpips", "tlp", "flolpips"], conditions) if m.about != "basis"]
    shared = {metric.name: metric.measure(now) for metric in chosen}
    assert sum(seen) == 4
    assert now.before is not None
    # The same by LPIPS called for every pair.
    before, here = now.before, now.now
    plain = [float(lpips(a[None], b[None])) for a, b in ((before.out, here.out), (before.true, here.true))]
    assert shared["tlp100@squeeze"] == pytest.approx(100 * abs(plain[0] - plain[1]), rel=1e-4, abs=1e-5)
    assert shared["lpips@squeeze"] == pytest.approx(float(lpips(here.out[None], here.true[None])), rel=1e-4, abs=1e-6)


def test_lpips_alone_keeps_no_features() -> None:
    now = step()
    (metric, *_) = choose_metrics(["lpips"], Conditions(networks=NETWORKS))
    assert isinstance(metric, Metric)
    metric.measure(now)
    assert not now.now._made


def test_ssim_of_luma_is_that_of_8_bit_codes_without_the_border() -> None:
    chance = torch.Generator().manual_seed(0)
    noisy = (frame(0) + 0.05 * torch.randn(3, 64, 96, generator=chance)).clamp(0, 1)
    inside = Moment(out=noisy[:, 4:-4, 4:-4], true=frame(0)[:, 4:-4, 4:-4])
    whole = Moment(out=noisy, true=frame(0))
    found = [
        {metric.name: metric.measure(Step(now=moment)) for metric in choose_metrics(["ssim"], Conditions(crop=crop))}
        for moment, crop in ((inside, 0), (whole, 4))
    ]
    assert found[0]["ssim@y601"] == pytest.approx(found[1]["ssim@y601,crop4"], abs=1e-6) != found[1]["ssim@rgb"]
    assert found[1]["ssim@y601,crop4"] < 0.95


def test_a_frechet_distance_needs_two_clips_and_is_of_the_whole() -> None:
    (metric, *_) = choose_metrics(["fvd"], Conditions(networks=NETWORKS))
    assert isinstance(metric, WholeMetric) and metric.name == "fvd@made-up,224,16"

    def tallied(frames: int, brighter: float) -> float | None:
        tally, before = metric.begin(), None
        for index in range(frames):
            now = Moment(out=frame(index) * brighter, true=frame(index))
            tally.add(Step(now=now, before=before))
            before = now
        return tally.figure()

    assert tallied(23, 1) is None  # clips begin at 0 and 8, and the second has 15 frames
    assert tallied(24, 1) == pytest.approx(0, abs=1e-6)
    assert tallied(24, 0.9) > tallied(24, 0.95) > 1e-4
