"""Motion: its direction, its sizes, and how it travels on a clip."""

from fractions import Fraction

import pytest
import torch

from vidperc.clip import Clip, Motion
from vidperc.ops.warp import warp


def square(left: int, top: int) -> torch.Tensor:
    frame = torch.zeros((1, 1, 24, 32))
    frame[..., top : top + 6, left : left + 6] = 1.0
    return frame


def moving(count=3, height=24, width=32, seed=0) -> Motion:
    source = torch.Generator().manual_seed(seed)
    flow = torch.randn((count, 2, height, width), generator=source)
    return Motion(flow=flow, visible=(torch.rand((count, 1, height, width), generator=source) > 0.2).float())


def clip_with(motion: Motion | None, count=3) -> Clip:
    frames = torch.rand((count, 3, 8, 10))
    return Clip(frames=frames, source=frames, pts=tuple(range(count)), time_base=Fraction(1, 25), motion=motion)


def test_flow_points_from_a_frame_back_to_the_one_before():
    """A square that moved 4 to the right and 2 down came from 4 to the left and 2 up."""
    before, after = square(8, 8), square(12, 10)
    flow = torch.zeros((1, 2, 24, 32))
    flow[:, 0], flow[:, 1] = -4.0, -2.0
    motion = Motion(flow=flow, visible=torch.ones((1, 1, 24, 32)))
    assert torch.equal(warp(before, motion.flow), after)
    assert not torch.equal(warp(after, motion.flow), before)


def test_at_another_size_the_vectors_are_in_its_pixels():
    before, after = square(8, 8), square(12, 10)
    flow = torch.zeros((1, 2, 12, 16))
    flow[:, 0], flow[:, 1] = -2.0, -1.0  # at half the size
    motion = Motion(flow=flow, visible=torch.ones((1, 1, 12, 16))).at(24, 32)
    assert motion.flow.shape == (1, 2, 24, 32) and motion.visible.shape == (1, 1, 24, 32)
    assert torch.allclose(warp(before, motion.flow), after, atol=1e-5)
    assert motion.visible.min() == 1


def test_at_another_size_nothing_hidden_becomes_visible():
    motion = moving()
    hidden = motion.visible.mean()
    assert motion.at(48, 64).visible.mean() < hidden and motion.at(12, 16).visible.mean() < hidden


def test_clips_carry_the_motion_of_their_frames():
    motion = moving()
    clip = clip_with(motion)
    part = clip.part(1, 3).motion
    assert (
        part is not None and torch.equal(part.flow, motion.flow[1:]) and torch.equal(part.visible, motion.visible[1:])
    )
    flows = [single.motion.flow for single in clip.singles() if single.motion is not None]
    assert torch.equal(torch.cat(flows), motion.flow)
    assert clip.with_frames(torch.zeros((3, 3, 16, 20))).motion is motion
    assert clip_with(None).part(0, 2).motion is None


def test_what_does_not_fit_is_refused():
    motion = moving()
    with pytest.raises(ValueError, match=r"Motion\.flow"):
        Motion(flow=motion.visible, visible=motion.visible)
    with pytest.raises(ValueError, match=r"Motion\.visible"):
        Motion(flow=motion.flow, visible=motion.visible[:2])
    with pytest.raises(ValueError, match=r"Clip\.motion"):
        clip_with(moving(count=2))
