from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.clips import NO_TEST_DATA, TEST_DATA
from vidperc.metrics.frechet import Moments, frechet_distance
from vidperc.metrics.fvd import (
    EVERY,
    FRAMES,
    SIDE,
    FvdTally,
    clip_features,
    fitted,
    frechet_video_distance,
    fvd_metrics,
)
from vidperc.metrics.metric import Conditions
from vidperc.metrics.networks import Networks
from vidperc.metrics.step import Moment, Step
from vidperc.perception import video_networks
from vidperc.perception.own3d import Own3d
from vidperc.perception.video_backbone import VideoBackbone, open_video_backbone
from vidperc.training.clips import to_pixels
from vidperc.training.damage import DAMAGES
from vidperc.video.rgb import read_rgb


@pytest.fixture
def backbone(monkeypatch: pytest.MonkeyPatch) -> VideoBackbone:
    """Our own with random weights: what is tested here is what is done with its features."""
    torch.manual_seed(0)
    network = Own3d()
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0, 0.15)
    monkeypatch.setattr(video_networks, "read_own3d", lambda path: network)
    return open_video_backbone("own", layers=["layer1"])


def film(frames: int, seed: int = 0, side: int = 48) -> Tensor:
    """A camera that pans over a smooth picture, (T,3,side,side)."""
    coarse = torch.rand(1, 3, 8, 40, generator=torch.Generator().manual_seed(seed))
    wide = F.interpolate(coarse, (side, side * 5), mode="bicubic").clamp(0, 1)[0]
    return torch.stack([wide[:, :, 2 * shift : 2 * shift + side] for shift in range(frames)])


def steps(out: Tensor, true: Tensor, cuts: tuple[int, ...] = ()) -> Iterator[Step]:
    moments = [Moment(out=one, true=other) for one, other in zip(out, true, strict=True)]
    for place, moment in enumerate(moments):
        yield Step(now=moment, before=None if place in (0, *cuts) else moments[place - 1])


def tallied(backbone: VideoBackbone, out: Tensor, true: Tensor, cuts: tuple[int, ...] = ()) -> FvdTally:
    tally = FvdTally(backbone)
    for step in steps(out, true, cuts):
        tally.add(step)
    return tally


def clips_of(video: Tensor) -> Tensor:
    starts = range(0, len(video) - FRAMES + 1, EVERY)
    return torch.stack([video[start : start + FRAMES] for start in starts])


def test_a_video_has_the_distance_of_its_clips(backbone: VideoBackbone) -> None:
    out, true = film(48, seed=1), film(48, seed=2)
    tally = tallied(backbone, out, true)
    assert tally.clips == len(clips_of(out)) == 5
    wanted = frechet_video_distance([clips_of(out)], [clips_of(true)], backbone)
    assert wanted > 0
    assert tally.figure() == pytest.approx(wanted, rel=1e-4)


def test_the_distance_does_not_depend_on_the_batches(backbone: VideoBackbone) -> None:
    out, true = clips_of(film(48, seed=1)), clips_of(film(48, seed=2))
    whole = frechet_video_distance([out], [true], backbone)
    assert frechet_video_distance(out.split(2), true.split(1), backbone) == pytest.approx(whole, rel=1e-4)


def test_a_video_is_at_no_distance_from_itself(backbone: VideoBackbone) -> None:
    video = film(40)
    size = float(clip_features(clips_of(video), backbone).square().sum())
    assert tallied(backbone, video, video).figure() == pytest.approx(0, abs=1e-6 * size)


def test_no_clip_goes_across_a_cut(backbone: VideoBackbone) -> None:
    video = film(48)
    assert tallied(backbone, video, video, cuts=(20,)).clips == 1 + 2  # of 20 frames, and of 28
    assert tallied(backbone, video, video, cuts=(15, 30, 45)).clips == 0


def test_too_few_frames_have_no_figure(backbone: VideoBackbone) -> None:
    video = film(FRAMES + EVERY - 1)
    tally = tallied(backbone, video, video)
    assert tally.clips == 1
    assert tally.figure() is None
    assert list(tally.of_frames()) == []


def test_it_holds_one_clip_of_each_video_however_long_they_are(backbone: VideoBackbone) -> None:
    video = film(60)
    tally = tallied(backbone, video, video)
    held = tally._frames
    assert len(held) == FRAMES
    assert {tuple(frame.shape) for frame in held} == {(2, 3, SIDE, SIDE)}
    tally.close()
    assert not held


def test_videos_of_other_sizes_and_shapes_are_compared_at_one(backbone: VideoBackbone) -> None:
    small, large = film(40), film(40)
    large = F.interpolate(large, (96, 80), mode="bilinear")
    figure = tallied(backbone, large, small).figure()
    assert figure is not None
    blurred = F.interpolate(F.avg_pool2d(small, 8), (48, 48), mode="bilinear")
    worse = tallied(backbone, blurred, small).figure()
    assert worse is not None
    assert figure < worse


def test_frames_are_brought_to_224_pixels_and_into_range() -> None:
    found = fitted(torch.linspace(-0.2, 1.2, 2 * 3 * 50 * 90).view(2, 3, 50, 90))
    assert tuple(found.shape) == (2, 3, SIDE, SIDE)
    assert float(found.min()) >= 0 and float(found.max()) <= 1
    kept = torch.rand(1, 3, SIDE, SIDE)
    torch.testing.assert_close(fitted(kept), kept, rtol=0, atol=0)


def test_its_name_says_which_network_looked(backbone: VideoBackbone) -> None:
    (metric,) = fvd_metrics(Conditions(networks=Networks(video_backbone=backbone)))
    assert metric.name == "fvd@own,224,16"
    assert metric.better == "lower"


def test_what_cannot_be_is_refused(backbone: VideoBackbone) -> None:
    both = open_video_backbone("own", layers=["layer1", "layer2"])
    with pytest.raises(ValueError, match="fvd: got the layers layer1, layer2, wanted one"):
        frechet_video_distance([clips_of(film(24))], [clips_of(film(24))], both)
    one = [clips_of(film(FRAMES))]
    with pytest.raises(ValueError, match="got 1 features, wanted at least 2"):
        frechet_video_distance(one, one, backbone)
    with pytest.raises(ValueError, match="own: got a clip of 3 frames"):
        frechet_video_distance([film(3)[None]], one, backbone)


@pytest.mark.slow
@pytest.mark.skipif(TEST_DATA is None, reason=NO_TEST_DATA)
@pytest.mark.parametrize(
    ("kind", "little", "much"),
    [
        ("blur", 0.3, 1.0),
        ("noise", 0.3, 1.0),
        ("flicker", 0.3, 1.0),
        # Two frames of 64, and a fifth of them: where still more are out of place each stands out less.
        ("shuffle", 0.03, 0.2),
    ],
)
def test_by_our_own_network_a_real_clip_is_further_away_the_more_it_is_damaged(
    kind: str, little: float, much: float
) -> None:
    assert TEST_DATA is not None
    frames = islice(read_rgb(TEST_DATA / "videos" / "real" / "sam2_bedroom_540p.mp4", threads=1), 64)
    clip = to_pixels(torch.cat([F.interpolate(frame[None], (270, 480), mode="area") for frame in frames]))
    own = open_video_backbone("own")

    def moments(strength: float) -> Moments:
        damaged = DAMAGES[kind](clip, strength, np.random.default_rng(0)) if strength else clip
        small = fitted(torch.from_numpy(damaged).permute(0, 3, 1, 2).float() / 255)
        found = Moments()
        for one in clips_of(small).split(1):
            found.add(clip_features(one, own))
        return found

    true = moments(0)
    mild, strong = (frechet_distance(moments(strength), true) for strength in (little, much))
    assert 0 < mild < strong
