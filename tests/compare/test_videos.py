import gc
import weakref
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.clips import make_clip, picture
from tests.metrics import made_up
from vidperc.compare.comparison import score
from vidperc.compare.videos import Means, compare_videos, fitting_metrics, steps_of
from vidperc.errors import VidpercError
from vidperc.metrics.metric import Conditions
from vidperc.metrics.table import DEFAULT, METRICS, choose_metrics
from vidperc.motion.estimator import open_estimator
from vidperc.video.aligned import Together, align


@pytest.fixture(scope="module")
def means() -> Means:
    return Means(estimator=open_estimator("dis", preset="balanced"), motion="dis-balanced")


def frame(index: int, width: int = 96, height: int = 64) -> torch.Tensor:
    return torch.from_numpy(picture(index, width, height)).permute(2, 0, 1).float() / 255


def together(frames: list[tuple[torch.Tensor, ...]]) -> Iterator[Together]:
    return (Together(seconds=Fraction(k, 25), pts=k, frames=shown) for k, shown in enumerate(frames))


def means_of(frames: list[tuple[torch.Tensor, ...]], means: Means, *, cuts: frozenset[int] = frozenset()) -> dict:
    metrics = choose_metrics(DEFAULT, Conditions())
    found = score(steps_of(together(frames), means, cuts=cuts, with_motion=True), metrics)
    return {series.metric.name.partition("@")[0]: series.mean() for series in found.series}


def walk(count: int, step: int, width: int = 200, height: int = 160) -> list[torch.Tensor]:
    """A texture that moves so many pixels to the left each frame; none of it comes twice."""
    values = np.random.default_rng(0).random((height, width + step * count), dtype=np.float32)
    smooth = cv2.GaussianBlur(values, (0, 0), 3)
    smooth = torch.from_numpy((smooth - smooth.min()) / (smooth.max() - smooth.min()))
    return [smooth[None, :, step * k : step * k + width].expand(3, -1, -1) for k in range(count)]


def test_what_moves_with_its_source_is_steady_and_what_stays_behind_is_not(means) -> None:
    every = walk(6, 3)
    along = means_of([(one, one) for one in every], means)
    frozen = means_of([(one, every[0]) for one in every], means)
    assert along["warping-error"] < 1e-4
    assert frozen["warping-error"] > 20 * along["warping-error"]
    assert along["coverage"] > 0.9
    assert frozen["tof"] == pytest.approx(3, abs=0.3)  # the pixels that the source moves in a frame


def test_a_larger_video_moves_by_as_many_more_pixels(means) -> None:
    small = walk(5, 2)
    large = [torch.nn.functional.interpolate(one[None], scale_factor=3, mode="bicubic")[0] for one in small]
    found = means_of(list(zip(small, large, strict=True)), means)
    assert found["warping-error"] < 1e-4
    still = means_of([(one, large[0]) for one in small], means)
    assert still["warping-error"] > 20 * found["warping-error"]


def test_the_steadier_video_has_the_lower_figures(means) -> None:
    chance = torch.Generator().manual_seed(0)
    every = walk(6, 2)
    noise = [torch.randn(one.shape, generator=chance) for one in every]
    found = [
        means_of([(one, one + much * grain) for one, grain in zip(every, noise, strict=True)], means)
        for much in (0, 0.02, 0.06)
    ]
    for name in ("warping-error", "flicker", "tof"):
        assert found[0][name] < found[1][name] < found[2][name], name
    assert found[0]["psnr"] > found[1]["psnr"] > found[2]["psnr"]
    # Two frames of noise, of which a little is lost in resampling and clamping.
    assert found[2]["warping-error"] == pytest.approx(2 * 0.06**2, rel=0.25)


def test_a_change_of_shot_is_not_an_error_over_time(means) -> None:
    every = walk(4, 2) + [1 - one for one in walk(4, 2)]
    pairs = [(one, one) for one in every]
    assert means_of(pairs, means, cuts=frozenset({4}))["flicker"] < means_of(pairs, means)["flicker"]
    assert means_of(pairs, means, cuts=frozenset({4}))["warping-error"] < 1e-4


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("chosen", [DEFAULT, ("ssim", "lpips", "tlp", "flolpips", "dists", "temporal-ssim", "fvd")])
def test_two_moments_are_held_however_long_the_video(means, chosen: tuple[str, ...], reference: bool) -> None:
    alive: list[weakref.ref[torch.Tensor]] = []
    most = 0

    def shown(count: int) -> Iterator[Together]:
        nonlocal most
        for k in range(count):
            made = (frame(k), frame(k, 192, 128), *([frame(k + 1, 192, 128)] if reference else []))
            alive.extend(weakref.ref(one) for one in made)
            yield Together(seconds=Fraction(k, 25), pts=k, frames=made)
            del made
            gc.collect()
            most = max(most, sum(seen() is not None for seen in alive))

    metrics = choose_metrics(chosen, Conditions(larger=not reference, networks=made_up.networks()))
    with torch.inference_mode():
        found = score(steps_of(shown(24), means, cuts=frozenset({9}), with_motion=True), metrics)
    assert len(found.seconds) == 24
    assert most <= 2 * (3 if reference else 2)


def test_metrics_without_motion_look_for_none() -> None:
    class Fails:
        name = "dis"

    every = [(frame(k), frame(k)) for k in range(3)]
    metrics = choose_metrics(["psnr", "tof"], Conditions())
    steps = steps_of(together(every), Means(estimator=Fails(), motion="none"), cuts=frozenset(), with_motion=False)
    assert len(score(steps, metrics).seconds) == 3


def clip(path: Path, width: int = 96, height: int = 64) -> Path:
    return make_clip(path, frames=4, size=(width, height))


def names(means: Means, chosen: tuple[str, ...], *paths: Path) -> list[str]:
    return [metric.name for metric in fitting_metrics(align(paths), chosen, means)]


def test_names_tell_what_a_video_is_held_against(means, tmp_path) -> None:
    small, large = clip(tmp_path / "small.mp4"), clip(tmp_path / "large.mp4", 192, 128)
    assert names(means, ("psnr", "tof"), small, small)[:2] == ["psnr@rgb", "psnr@y601"]
    assert names(means, ("tof",), small, large)[:3] == [
        "downscale-consistency@rgb", "downscale-consistency@y601", "tof@farneback,downscaled"
    ]  # fmt: skip
    assert names(means, ("psnr", "tof"), small, large, large)[:3] == ["psnr@rgb", "psnr@y601,crop2", "tof@farneback"]


def test_figures_of_files_are_those_of_their_frames(means, tmp_path) -> None:
    source, out = clip(tmp_path / "source.mp4"), clip(tmp_path / "out.mp4", 192, 128)
    videos = align([source, out, out])
    metrics = fitting_metrics(videos, DEFAULT, means)
    said: list[tuple[int, int]] = []
    found = compare_videos(videos, metrics, means, said=lambda done, total: said.append((done, total)))
    assert found.against == "REFERENCE"
    assert said == [(0, 4), (1, 4), (2, 4), (3, 4)]
    for series in found.series:
        if series.true:  # OUT is the reference
            assert series.out == series.true
    assert [series.mean() for series in found.series if series.metric.about == "fidelity"] == [100, 100]


def test_an_odd_side_that_an_encoder_rounded_fits(means, tmp_path) -> None:
    source, out = clip(tmp_path / "source.mp4", 96, 54), clip(tmp_path / "out.mp4", 144, 82)  # 81, made even
    assert names(means, ("psnr",), source, out)[0] == "downscale-consistency@rgb"


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        (((96, 64), (64, 96)), r"out.mp4: is smaller than its source \(got 64x96 for 96x64\)"),
        (((96, 64), (48, 32)), r"out.mp4: is smaller than its source \(got 48x32 for 96x64\)"),
        (((96, 64), (192, 160)), r"out.mp4: has another shape than its source \(got 192x160 for 96x64\)"),
        (((96, 64), (192, 128), (96, 64)), r"true.mp4: has 96x64 pixels, wanted 192x128 as .*out.mp4"),
        (((12, 8), (24, 16)), r"motion: dis got frames of 12x8, wanted sides of at least 16"),
    ],
)  # fmt: skip
def test_videos_that_do_not_fit_are_refused(means, tmp_path, sizes, told) -> None:
    paths = [clip(tmp_path / name, *size) for name, size in zip(("source.mp4", "out.mp4", "true.mp4"), sizes)]  # noqa: B905
    with pytest.raises(VidpercError, match=told):
        names(means, DEFAULT, *paths)


def test_frames_too_small_for_a_metric_are_refused(means, tmp_path) -> None:
    source = clip(tmp_path / "source.mp4", 96, 40)
    assert "tof-paper" in METRICS
    with pytest.raises(VidpercError, match=r"has 96x40 pixels, wanted sides of at least 48 for tof@farneback,crop32"):
        names(means, ("tof-paper",), source, source)
