"""The motion of frames as they come: its direction, its shots, its chunks, its size."""

import pytest
import torch

from tests.motion.pairs import flow_of, moving, needs_data, picture
from vidperc.clip import Motion
from vidperc.errors import VidpercError
from vidperc.motion.estimator import open_estimator
from vidperc.motion.find import find_motion, shrunk
from vidperc.ops.warp import warp

ESTIMATORS = ("dis", "farneback")


def motion_of(frames, estimator="dis", chunk=0, shots=None, **options):
    chunk = chunk or len(frames)
    shots = shots or [0] * len(frames)
    starts = [at for at in range(len(frames)) if at % chunk == 0 or shots[at] != shots[at - 1]]
    parts = [(frames[a:b], shots[a]) for a, b in zip(starts, [*starts[1:], len(frames)], strict=True)]
    found = list(find_motion(iter(parts), open_estimator(estimator), **options))
    assert [len(motion) for motion in found] == [len(part) for part, _ in parts]
    return Motion(flow=torch.cat([m.flow for m in found]), visible=torch.cat([m.visible for m in found]))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_flow_points_back_to_where_things_were(estimator):
    """What moves 3 to the right and 2 up was, a frame before, 3 to the left and 2 below."""
    motion = motion_of(moving(3, across=3, down=-2), estimator)
    inner = motion.flow[1:, :, 16:-16, 16:-16]
    for found, wanted in zip(inner.unbind(1), (-3.0, 2.0), strict=True):
        assert (found - wanted).abs().median() < 0.1
    assert motion.visible[1:, :, 16:-16, 16:-16].mean() > 0.95
    assert motion.visible[1:, :, :, :2].mean() < 0.2, "what came in at the left was not there before"


@needs_data
def test_the_real_pair_is_warped_by_the_reference_flow_one_way_only():
    """Masked MSE within 2 % of 0.000222; with the flow of the other direction it would be 0.0036."""
    before, here = (picture(f"marple8_occlusion/marple8_0{number}.ppm") for number in (1, 2))
    visible = picture("marple8_occlusion/reliable_2_1.pgm") >= 128 / 255

    def error(flow):
        return float((warp(before[None], flow[None])[0] - here).square()[:, visible[0]].mean())

    assert error(flow_of("marple8_occlusion/backward_2_1.flo")) == pytest.approx(0.000222, rel=0.02)
    assert error(flow_of("marple8_occlusion/forward_1_2.flo")) > 0.003


@needs_data
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_motion_of_the_real_pair_is_that_of_the_reference(estimator):
    frames = torch.stack([picture(f"marple8_occlusion/marple8_0{number}.ppm") for number in (1, 2, 3)])
    motion = motion_of(frames, estimator)
    for time, name in ((1, "backward_2_1"), (2, "backward_3_2")):
        reference = flow_of(f"marple8_occlusion/{name}.flo")
        seen = motion.visible[time, 0].bool()
        assert seen.float().mean() > 0.8
        assert (motion.flow[time] - reference).norm(dim=0)[seen].mean() < 0.3
        # Less than half of what is left without a warp; the other direction leaves ten times as much.
        moved = (warp(frames[time - 1 : time], motion.flow[time : time + 1]) - frames[time]).square()[0][:, seen].mean()
        assert moved < 0.0005 < 0.001 < (frames[time - 1] - frames[time]).square()[:, seen].mean()


def test_a_shot_begins_with_nothing():
    frames = moving(6, across=2, down=1)
    motion = motion_of(frames, shots=[0, 0, 0, 4, 4, 5])
    for time in (0, 3, 5):
        assert not motion.flow[time].any() and not motion.visible[time].any()
    for time in (1, 2, 4):
        assert motion.flow[time].any() and motion.visible[time].mean() > 0.8


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("size", [0, 60])
def test_chunks_are_invisible(estimator, size):
    frames = moving(7, across=2, down=1)
    shots = [0, 0, 0, 0, 1, 1, 1]
    wanted = motion_of(frames, estimator, chunk=1, shots=shots, size=size)
    for chunk in (2, 3, 7):
        found = motion_of(frames, estimator, chunk=chunk, shots=shots, size=size)
        assert torch.equal(found.flow, wanted.flow) and torch.equal(found.visible, wanted.visible)
    assert torch.equal(motion_of(frames[1:4], estimator, size=size).flow[1:], wanted.flow[2:4])


def test_threads_do_not_change_a_bit():
    frames = moving(3, across=2, down=1, height=200, width=300)
    before = torch.get_num_threads()
    try:
        for estimator in ESTIMATORS:
            found = []
            for threads in (1, 2, 3):
                torch.set_num_threads(threads)
                found.append(motion_of(frames, estimator))
            assert all(torch.equal(motion.flow, found[0].flow) for motion in found), estimator
    finally:
        torch.set_num_threads(before)


def test_a_smaller_size_is_that_of_the_flow_and_its_pixels():
    frames = moving(2, across=4, down=-4, height=96, width=160)
    motion = motion_of(frames, size=48)
    assert motion.flow.shape == (2, 2, 48, 80) and motion.visible.shape == (2, 1, 48, 80)
    assert (motion.flow[1, 0, 8:-8, 8:-8] + 2).abs().median() < 0.15  # half of 4 pixels
    assert (motion.at(96, 160).flow[1, 0, 16:-16, 16:-16] + 4).abs().median() < 0.3
    assert motion_of(frames, size=500).flow.shape == (2, 2, 96, 160), "nothing is enlarged"
    upright = motion_of(moving(2, 1, 1, height=161, width=96), size=48)
    assert upright.flow.shape[2:] == (80, 48)


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "balanced", "medium"])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (60, 80), (64, 80), (45, 70)])
def test_small_frames_leave_dis_as_it_was(preset, height, width):
    """OpenCV chooses other settings for frames with few scales, and would keep them for those that follow."""
    estimator = open_estimator("dis", preset=preset)
    first, second = (estimator.prepare(frame) for frame in moving(2, 1, 0, height=height, width=width))
    wanted = estimator.flow(second, first)
    estimator.flow(first, second)
    assert torch.equal(estimator.flow(second, first), wanted)


def test_shrinking_takes_means():
    frame = torch.rand((3, 64, 96), generator=torch.Generator().manual_seed(0))
    means = torch.nn.functional.avg_pool2d(frame, 2)
    assert torch.allclose(shrunk(frame, 32), means, atol=1e-6)
    assert shrunk(frame, 0) is frame and shrunk(frame, 64) is frame


def test_colour_is_read_by_its_luma():
    luma = moving(3, across=2, down=1)
    assert torch.equal(motion_of(luma.expand(-1, 3, -1, -1)).flow, motion_of(luma).flow)
    tinted = torch.cat([luma * 0.9, luma, luma * 1.1], dim=1)
    assert (motion_of(tinted).flow - motion_of(luma).flow).abs().median() < 0.1


def test_values_outside_the_range_are_clamped():
    luma = moving(3, across=2, down=1)
    dark = (luma - 0.4) * 1.5  # a quarter of it below black, as limited range allows
    assert torch.equal(motion_of(dark).flow, motion_of(dark.clamp(0, 1)).flow)


@pytest.mark.parametrize(
    ("height", "width", "size", "told"),
    [
        (15, 40, 0, "motion: dis got frames of 40x15, wanted sides of at least 16 pixels; use another"),
        (
            40,
            80,
            12,
            "motion: dis got frames of 80x40 at size 12, wanted sides of at least 16 pixels; ask for a larger",
        ),
    ],
)
def test_frames_too_small_are_refused(height, width, size, told):
    with pytest.raises(VidpercError) as caught:
        motion_of(torch.zeros((2, 1, height, width)), size=size)
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_smallest_frames_work(estimator):
    frames = torch.rand((2, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    motion = motion_of(frames, estimator)
    assert motion.flow.shape == (2, 2, 16, 16) and motion.flow.isfinite().all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_frames_on_a_gpu_have_their_motion_there():
    frames = moving(3, across=2, down=1)
    wanted, found = motion_of(frames), motion_of(frames.cuda())
    assert found.flow.is_cuda and found.visible.is_cuda
    assert torch.equal(found.flow.cpu(), wanted.flow)
    assert (found.visible.cpu() == wanted.visible).float().mean() > 0.999
