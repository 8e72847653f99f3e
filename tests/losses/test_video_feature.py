"""The 3D-backbone term through our own network, with made-up weights."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.losses.made_up import pictures
from vidperc.errors import VidpercError
from vidperc.losses.objective import Objective
from vidperc.losses.sample import Sample
from vidperc.losses.video_feature import VideoFeature
from vidperc.perception.own3d import ARCHITECTURE, Own3d, shipped_own3d


@pytest.fixture
def weights(tmp_path):
    """A folder with an own 3D network of random weights."""
    torch.manual_seed(0)
    network = Own3d()
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0, 0.1)
    told = ("name", "summary", "licence", "data", "command", "figures")
    card = dict.fromkeys(told, "made up") | dict.fromkeys(("parameters", "steps", "seed"), "0")
    save_file(network.state_dict(), tmp_path / shipped_own3d().name, metadata=card | {"architecture": ARCHITECTURE})
    return tmp_path


def moving(seed: int = 0) -> torch.Tensor:
    """A rough picture that moves across, (1,T,3,H,W)."""
    wide = torch.nn.functional.interpolate(pictures(1, 3, 9, 16, seed=seed), size=(36, 64), mode="bilinear")
    return torch.stack([wide[..., 2 * t : 2 * t + 40] for t in range(6)], dim=1)


def test_it_is_zero_for_equal_clips_and_sees_the_order_of_frames(weights) -> None:
    objective = Objective.open([VideoFeature()], weights=weights)
    clip = moving()
    shuffled = clip[:, [0, 3, 1, 4, 2, 5]]
    assert float(objective(Sample(out=clip, true=clip)).total) == 0
    assert float(objective(Sample(out=shuffled, true=clip)).total) > 1e-4


def test_it_is_the_weighted_distance_of_the_features(weights) -> None:
    from vidperc.perception.video_backbone import open_video_backbone

    out, true = moving(), moving(1)
    found = open_video_backbone("own", layers=("layer1", "layer3"), weights=weights)
    ours, theirs = found(out), found(true)
    wanted = 0.5 * (ours["layer1"] - theirs["layer1"]).square().mean()
    wanted += 2 * (ours["layer3"] - theirs["layer3"]).square().mean()
    term = VideoFeature(layers={"layer1": 0.5, "layer3": 2.0})
    assert float(Objective.open([term], weights=weights)(Sample(out=out, true=true)).total) == pytest.approx(
        float(wanted), rel=1e-5
    )


@pytest.mark.parametrize("distance", ["l2", "l1", "cosine"])
def test_its_gradients_are_right_and_are_numbers_at_equal_clips(weights, distance) -> None:
    objective = Objective.open([VideoFeature(distance=distance)], weights=weights).double()
    out, true = (moving(seed).double()[:, :4] for seed in (0, 1))
    out.requires_grad_()
    assert torch.autograd.gradcheck(lambda o: objective(Sample(out=o, true=true)).total, (out,), fast_mode=True)
    (gradient,) = torch.autograd.grad(objective(Sample(out=out, true=out.detach())).total, out)
    assert torch.isfinite(gradient).all()


def test_under_autocast_it_is_float32_near_the_value_without(weights) -> None:
    objective = Objective.open([VideoFeature()], weights=weights)
    sample = Sample(out=moving().requires_grad_(), true=moving(1))
    plain = float(objective(sample).total.detach())
    with torch.autocast("cpu", torch.bfloat16):
        value = objective(sample).total
    value.backward()
    assert value.dtype == torch.float32 and float(value.detach()) == pytest.approx(plain, rel=0.05)
    assert sample.out.grad is not None and torch.isfinite(sample.out.grad).all()


def test_an_unknown_layer_names_the_term(weights) -> None:
    with pytest.raises(VidpercError, match=r"^moves: own: no layer 'layer9', wanted .*layer1"):
        Objective.open([VideoFeature(name="moves", layers={"layer9": 1.0})], weights=weights)


def test_a_clip_too_short_for_the_network_names_the_term(weights) -> None:
    objective = Objective.open([VideoFeature()], weights=weights)
    with pytest.raises(ValueError, match=r"^video-feature: own: got a clip of 3 frames, wanted at least 4"):
        objective(Sample(out=moving()[:, :3], true=moving()[:, :3]))
