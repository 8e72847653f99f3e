"""The warp loss: low along the true motion, high against it, blind to what is hidden."""

from __future__ import annotations

import pytest
import torch

from tests.losses.made_up import known_motion, pictures, shifting
from tests.motion.pairs import flow_of, needs_data, picture
from vidperc.clip import Motion
from vidperc.losses.along import Steps, chained, visible_mean
from vidperc.losses.warp_loss import warp_loss


def test_along_its_motion_a_moving_picture_pays_nothing_and_against_it_much() -> None:
    clip = shifting(2, across=3, down=-2)
    (motion,) = known_motion(clip, 3, -2)
    flow, visible = motion.flow[1:], motion.visible[1:]
    along = warp_loss(clip[:, 1], clip[:, 0], flow, visible)
    against = warp_loss(clip[:, 1], clip[:, 0], -flow, visible)
    still = warp_loss(clip[:, 1], clip[:, 0], torch.zeros_like(flow), visible)
    assert float(along) < 1e-6 and float(still) > 0.02 and float(against) > 1.2 * float(still)


@needs_data
@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_on_real_frames_the_reversed_flow_is_worse_than_none(distance) -> None:
    now, before = picture("marple8_occlusion/marple8_02.ppm"), picture("marple8_occlusion/marple8_01.ppm")
    visible = (picture("marple8_occlusion/reliable_2_1.pgm") >= 0.5).float()[None]
    backward, forward = (flow_of(f"marple8_occlusion/{name}.flo") for name in ("backward_2_1", "forward_1_2"))
    right, wrong, negated, none = (
        float(warp_loss(now[None], before[None], flow[None], visible, distance=distance))
        for flow in (backward, forward, -backward, torch.zeros_like(backward))
    )
    assert 2 * right < none < wrong and none < negated


def test_it_is_worked_out_by_hand_over_visible_pixels_alone() -> None:
    now, before = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    now[0, :, 0, 0], now[0, :, 1, 1] = 0.6, 0.9
    visible = torch.tensor([[1.0, 1.0], [0.0, 0.0]]).view(1, 1, 2, 2)
    flow = torch.zeros(1, 2, 2, 2)
    assert float(warp_loss(now, before, flow, visible)) == pytest.approx(0.3)
    assert float(warp_loss(now, before, flow, visible, distance="l2")) == pytest.approx(0.18)


def test_hiding_pixels_does_not_make_it_smaller() -> None:
    now, before = torch.full((1, 3, 4, 4), 0.5), torch.zeros(1, 3, 4, 4)
    some = torch.zeros(1, 1, 4, 4)
    some[..., :1] = 1
    flow = torch.zeros(1, 2, 4, 4)
    assert float(warp_loss(now, before, flow, some)) == float(warp_loss(now, before, flow, torch.ones(1, 1, 4, 4)))


def test_where_nothing_is_visible_it_is_zero_with_gradients_of_zero() -> None:
    now, before = pictures(1, 3, 4, 4).requires_grad_(), pictures(1, 3, 4, 4, seed=1)
    value = warp_loss(now, before, torch.zeros(1, 2, 4, 4), torch.zeros(1, 1, 4, 4))
    value.backward()
    assert float(value.detach()) == 0 and now.grad is not None and float(now.grad.abs().max()) == 0


def test_flow_of_another_size_is_scaled() -> None:
    clip = shifting(2, across=4, down=2)
    height, width = clip.shape[-2:]
    flow = torch.tensor([-2.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, height // 2, width // 2)
    visible = torch.ones(1, 1, height // 2, width // 2)
    visible[..., :4, :], visible[..., :4] = 0, 0
    assert float(warp_loss(clip[:, 1], clip[:, 0], flow, visible)) < 1e-6


def test_its_gradients_are_right_for_both_frames() -> None:
    now, before = (pictures(1, 3, 5, 5, seed=seed, dtype=torch.float64).requires_grad_() for seed in (0, 1))
    flow = torch.rand(1, 2, 5, 5, generator=torch.Generator().manual_seed(2)) - 0.5
    visible = torch.ones(1, 1, 5, 5)
    visible[..., 2, 2] = 0
    for distance in ("l1", "l2"):
        assert torch.autograd.gradcheck(
            lambda a, b, d=distance: warp_loss(a, b, flow, visible, distance=d), (now, before)
        )


def test_the_frame_before_gets_no_gradient_if_detached() -> None:
    now, before = pictures(1, 3, 4, 4).requires_grad_(), pictures(1, 3, 4, 4, seed=1).requires_grad_()
    flow, visible = torch.zeros(1, 2, 4, 4), torch.ones(1, 1, 4, 4)
    warp_loss(now, before, flow, visible, detach_before=True).backward()
    assert now.grad is not None and before.grad is None


def test_the_mean_over_visible_pixels_stays_right_in_half_precision_masks() -> None:
    values = torch.full((1, 3, 300, 300), 0.5)
    assert float(visible_mean(values, torch.ones(1, 1, 300, 300, dtype=torch.float16))) == pytest.approx(0.5)


def test_chained_motion_leads_to_the_first_frame() -> None:
    clip = shifting(5, across=2, down=1)
    (motion,) = known_motion(clip, 2, 1)
    long = chained(motion)
    assert len(long) == 5 and not long.flow[0].any() and not long.visible[0].any()
    assert torch.allclose(long.flow[4, :, 10:-10, 10:-10], torch.tensor([-8.0, -4.0]).view(2, 1, 1), atol=1e-4)
    first = clip[:, :1].expand(-1, 4, -1, -1, -1).flatten(0, 1)
    assert 0.6 < float(long.visible[4].mean()) < float(motion.visible[4].mean())
    assert float(warp_loss(clip[0, 1:], first, long.flow[1:], long.visible[1:])) < 1e-5


def test_chained_hides_what_any_frame_on_the_way_hides() -> None:
    flow = torch.zeros(3, 2, 4, 6)
    flow[1:, 0] = -1
    visible = torch.ones(3, 1, 4, 6)
    visible[0], visible[1, 0, :, 2] = 0, 0
    long = chained(Motion(flow=flow, visible=visible))
    # What frame 1 hides at 2 is at 3 in frame 2.
    assert long.visible[2, 0, 0].tolist() == [1, 1, 1, 0, 1, 1]
    assert len(chained(Motion(flow=flow[:1], visible=visible[:1]))) == 1


def test_steps_at_a_stride_have_its_fraction_of_the_vectors() -> None:
    steps = Steps(flow=torch.full((1, 2, 17, 30), 8.0), visible=torch.ones(1, 1, 17, 30))
    inside = steps.at_stride((4, 7), 4)  # 16x28: the rest is left out
    assert torch.allclose(inside.flow, torch.full((1, 2, 4, 7), 2.0)) and inside.visible.min() == 1
    beyond = steps.at_stride((5, 8), 4)  # 20x32: the rest is hidden
    assert torch.allclose(beyond.flow, torch.full((1, 2, 5, 8), 2.0))
    # Row 3 sees a bit of row 4, so its fate is open.
    assert beyond.visible[..., :3, :6].min() == 1 and not beyond.visible[..., 4:, :].any()


def test_what_does_not_fit_is_refused() -> None:
    now, flow, visible = pictures(2, 3, 8, 8), torch.zeros(2, 2, 8, 8), torch.ones(2, 1, 8, 8)
    with pytest.raises(ValueError, match=r"^warp: got a flow of \(1, 2, 8, 8\), wanted \(2,2,h,w\)"):
        warp_loss(now, now, flow[:1], visible)
    with pytest.raises(ValueError, match=r"^warp: got a mask of \(2, 1, 4, 8\)"):
        warp_loss(now, now, flow, visible[:, :, :4])
    with pytest.raises(ValueError, match=r"^warp: got \(2, 3, 8, 8\) and \(2, 3, 8, 7\), wanted equal shapes"):
        warp_loss(now, now[..., :7], flow, visible)
    flow[0, 1, 2, 3] = torch.nan
    with pytest.raises(ValueError, match=r"^warp: the flow holds NaN or infinity"):
        warp_loss(now.requires_grad_(), now, flow, visible)
