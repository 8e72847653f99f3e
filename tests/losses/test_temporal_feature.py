"""The temporal feature loss, on small convolutions and on real frames through a real network."""

from __future__ import annotations

import pytest
import torch

from tests.clips import TEST_DATA
from tests.losses.made_up import TinyBackbone, known_motion, pictures, shifting
from tests.motion.pairs import flow_of, needs_data, picture
from vidperc.losses.along import Steps
from vidperc.losses.temporal_feature import temporal_feature_loss

STRIDES = {"first": 2, "second": 4}


def steps_for(clip: torch.Tensor, across: float, down: float) -> Steps:
    (motion,) = known_motion(clip, across, down)
    visible = torch.zeros_like(motion.visible[1:])
    visible[..., 8:-8, 8:-8] = motion.visible[1:, :, 8:-8, 8:-8]  # nearer to the border features see the padding
    return Steps(flow=motion.flow[1:], visible=visible)


@pytest.mark.parametrize("layer", ["first", "second"])
@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_along_the_motion_features_agree_and_against_it_they_do_not(layer, distance) -> None:
    clip = shifting(2, across=4, down=-8)  # whole features in both layers
    features = TinyBackbone()(clip[0])
    now, before = ({name: found[place : place + 1] for name, found in features.items()} for place in (1, 0))
    steps = steps_for(clip, 4, -8)
    reversed_steps = Steps(flow=-steps.flow, visible=steps.visible)
    along, against = (
        float(temporal_feature_loss(now, before, s, {layer: 1.0}, STRIDES, distance=distance))
        for s in (steps, reversed_steps)
    )
    assert along < 1e-4 * against


def test_a_stride_that_is_not_the_layers_is_worse() -> None:
    clip = shifting(2, across=8, down=8)
    features = TinyBackbone()(clip[0])
    now, before = ({name: found[place : place + 1] for name, found in features.items()} for place in (1, 0))
    steps = steps_for(clip, 8, 8)
    right = temporal_feature_loss(now, before, steps, {"first": 1.0}, {"first": 2})
    unscaled = Steps(flow=steps.flow * 2, visible=steps.visible)  # vectors in pixels, as if they were in features
    assert float(right) < 1e-4 * float(temporal_feature_loss(now, before, unscaled, {"first": 1.0}, {"first": 2}))


@needs_data
def test_on_real_frames_the_reversed_flow_is_worse_than_none() -> None:
    from vidperc.perception.backbone import open_backbone

    assert TEST_DATA is not None
    layers = {"relu1": 1.0, "fire3": 1.0}
    network = open_backbone("squeezenet1_1", layers=list(layers), weights=TEST_DATA / "weights")
    now, before = (network(picture(f"marple8_occlusion/marple8_{name}.ppm")[None]) for name in ("02", "01"))
    visible = (picture("marple8_occlusion/reliable_2_1.pgm") >= 0.5).float()[None]
    backward, forward = (flow_of(f"marple8_occlusion/{name}.flo")[None] for name in ("backward_2_1", "forward_1_2"))
    for layer in layers:
        right, wrong, none = (
            float(temporal_feature_loss(now, before, Steps(flow=flow, visible=visible), {layer: 1.0}, network.strides))
            for flow in (backward, forward, torch.zeros_like(backward))
        )
        assert right < none < wrong, layer


def test_its_gradients_are_right() -> None:
    now, before = ({"a": pictures(1, 2, 4, 4, seed=s, dtype=torch.float64).requires_grad_()} for s in (0, 1))
    flow = 2 * torch.rand(1, 2, 8, 8, generator=torch.Generator().manual_seed(2)) - 1
    steps = Steps(flow=flow, visible=torch.ones(1, 1, 8, 8))
    assert torch.autograd.gradcheck(
        lambda a, b: temporal_feature_loss({"a": a}, {"a": b}, steps, {"a": 2.0}, {"a": 2}), (now["a"], before["a"])
    )


def test_half_precision_features_are_compared_in_float32() -> None:
    now = {"a": torch.full((1, 2, 4, 4), 300.0, dtype=torch.float16)}
    before = {"a": torch.zeros(1, 2, 4, 4, dtype=torch.float16)}
    steps = Steps(flow=torch.zeros(1, 2, 8, 8), visible=torch.ones(1, 1, 8, 8))
    found = temporal_feature_loss(now, before, steps, {"a": 1.0}, {"a": 2})
    assert found.dtype == torch.float32 and float(found) == 300**2


def test_what_does_not_fit_is_refused() -> None:
    features = {"first": pictures(2, 4, 4, 4)}
    steps = Steps(flow=torch.zeros(2, 2, 8, 8), visible=torch.ones(2, 1, 8, 8))
    with pytest.raises(ValueError, match=r"^temporal-feature: no layer 'third', wanted one of first"):
        temporal_feature_loss(features, features, steps, {"third": 1.0}, STRIDES)
    with pytest.raises(ValueError, match=r"^temporal-feature: first got \(1, 4, 4, 4\).*, wanted \(2,C,h,w\) twice"):
        one = {"first": features["first"][:1]}
        temporal_feature_loss(one, one, steps, {"first": 1.0}, STRIDES)
