"""What each metric is taken in by, and which one is not, on a real clip spoilt in four ways."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F

from tests.clips import NO_TEST_DATA, TEST_DATA
from vidperc.compare.comparison import Comparison, score
from vidperc.compare.videos import Means, steps_of
from vidperc.metrics.metric import Conditions
from vidperc.metrics.networks import open_networks
from vidperc.metrics.table import choose_metrics
from vidperc.motion.estimator import open_estimator
from vidperc.ops.resize import resize
from vidperc.video.aligned import Together
from vidperc.video.rgb import read_rgb

NAMES = ("psnr", "lpips", "warping-error", "flicker", "tof")


def blurred(frame: torch.Tensor, sigma: float) -> torch.Tensor:
    reach = int(3 * sigma)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (taps / taps.sum()).expand(3, 1, 1, -1)
    wide = F.pad(frame[None], (reach, reach, reach, reach), mode="reflect")
    return F.conv2d(F.conv2d(wide, kernel, groups=3), kernel.transpose(2, 3), groups=3)[0]


def halved_and_enlarged(frame: torch.Tensor) -> torch.Tensor:
    height, width = frame.shape[1:]
    small = resize(frame[None], (height // 2, width // 2), "bicubic").clamp(0, 1)
    return resize(small, (height, width), "bicubic")[0].clamp(0, 1)


@pytest.fixture(scope="module")
def found() -> Mapping[str, Comparison]:
    """Twenty frames of a still camera past which a bottle is carried: fixed noise, and something that moves."""
    if TEST_DATA is None:
        pytest.skip(NO_TEST_DATA)
    frames = itertools.islice(read_rgb(TEST_DATA / "videos" / "real" / "intel_bottle-detection.mp4"), 160, 180)
    true = [frame[:, :160, :240].clamp(0, 1).contiguous() for frame in frames]
    versions = {
        "as it is": true,
        "bicubic": [halved_and_enlarged(frame) for frame in true],
        "blurred": [blurred(frame, 2) for frame in true],
        "frozen": [true[0]] * len(true),
        # Fine detail that is stronger in one frame and weaker in the next.
        "flickering": [
            (frame + (0.5 if place % 2 else -0.5) * (frame - blurred(frame, 1.5))).clamp(0, 1)
            for place, frame in enumerate(true)
        ],
    }
    networks = open_networks(NAMES, weights=TEST_DATA / "weights")
    means = Means(estimator=open_estimator("dis", preset="balanced"), motion="dis-balanced", networks=networks)
    metrics = choose_metrics(NAMES, Conditions(networks=networks))

    def compared(version: list[torch.Tensor]) -> Comparison:
        shown = (
            Together(seconds=Fraction(k, 30), pts=k, frames=(one, other, one))
            for k, (one, other) in enumerate(zip(true, version, strict=True))
        )
        with torch.inference_mode():
            return score(steps_of(shown, means, cuts=frozenset(), with_motion=True), metrics)

    return {name: compared(version) for name, version in versions.items()}


def by(found: Mapping[str, Comparison], metric: str) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, comparison in found.items():
        (series,) = [one for one in comparison.series if one.metric.name.startswith(metric)]
        mean = series.mean()
        assert mean is not None
        figures[name] = mean
    return figures


def test_the_frozen_one_has_the_best_warping_error_and_the_worst_tof(found) -> None:
    errors, apart = by(found, "warping-error@"), by(found, "tof@")
    assert min(errors, key=errors.__getitem__) == "frozen"
    assert max(apart, key=apart.__getitem__) == "frozen"
    assert errors["frozen"] < errors["as it is"] / 2
    assert by(found, "psnr@rgb")["frozen"] < by(found, "psnr@rgb")["bicubic"]
    assert any("frozen" in note for note in found["frozen"].notes())


def test_the_blurred_one_is_steadier_than_bicubic_and_worse_in_lpips(found) -> None:
    errors, unlike = by(found, "warping-error@"), by(found, "lpips@squeeze")
    assert errors["blurred"] < errors["bicubic"]
    assert unlike["blurred"] > 2 * unlike["bicubic"]
    assert any("blurred" in note for note in found["blurred"].notes())


def test_the_flickering_one_is_the_worst_in_flicker(found) -> None:
    flickers = by(found, "flicker@")
    assert max(flickers, key=flickers.__getitem__) == "flickering"
    assert flickers["flickering"] > 2 * flickers["as it is"]
    # It moves as it should, and each of its frames is near.
    assert by(found, "tof@")["flickering"] < by(found, "tof@")["frozen"] / 2
    assert by(found, "psnr@rgb")["flickering"] > by(found, "psnr@rgb")["frozen"]
