"""The warp: what it samples, on both of its ways, with gradients, whatever the chunks and threads."""

import cv2
import pytest
import torch

from vidperc.ops import warp as module
from vidperc.ops.warp import warp


def made_up(count=2, channels=3, height=37, width=53, pixels=4.0, dtype=torch.float32):
    source = torch.Generator().manual_seed(3)
    images = torch.rand((count, channels, height, width), generator=source, dtype=dtype)
    flow = (torch.rand((count, 2, height, width), generator=source, dtype=dtype) - 0.5) * 2 * pixels
    return images, flow


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_warp_by_zero_is_identity(mode):
    images, flow = made_up()
    assert torch.equal(warp(images, torch.zeros_like(flow), mode=mode), images)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("with_gradients", [False, True])
def test_whole_pixels_are_taken_from_where_the_flow_points(mode, with_gradients):
    images, flow = made_up(count=1)
    flow[:, 0], flow[:, 1] = 5.0, -3.0  # to the right, and up
    out = warp(images.requires_grad_(with_gradients), flow, mode=mode).detach()
    # float32 places are off by some 1e-5 px, of neighbours that differ by up to 1.
    assert torch.allclose(out[..., 3:, :-5], images[..., :-3, 5:].detach(), atol=1e-4)


def test_half_a_pixel_is_the_mean_of_two():
    images, flow = made_up(count=1)
    flow[:, 0], flow[:, 1] = 0.5, 0.0
    wanted = (images[..., :-1] + images[..., 1:]) / 2
    assert torch.allclose(warp(images, flow)[..., :-1], wanted, atol=1e-5)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_the_outermost_pixels_go_on_beyond_the_border(mode):
    images, flow = made_up(count=1)
    for pixels in (200.0, 1e9):
        flow[:, 0], flow[:, 1] = pixels, 0.0
        for tracked in (False, True):
            out = warp(images.detach().requires_grad_(tracked), flow, mode=mode).detach()
            assert torch.allclose(out, images[..., -1:].expand_as(out), atol=1e-5)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(37, 53), (720, 1280), (1, 9), (9, 1), (1, 1)])
def test_the_two_ways_agree(mode, size):
    """Far finer than a table of 1/32 px would: within float32's precision of the places."""
    images, flow = made_up(1, 1, *size, pixels=6.0)
    exact = warp(images.double(), flow.double(), mode=mode)
    quick = warp(images, flow, mode=mode)
    tracked = warp(images.requires_grad_(), flow, mode=mode)
    bound = 4 * max(size) * torch.finfo(torch.float32).eps + 1e-6
    assert (quick - exact).abs().max() < bound
    assert (tracked - exact).abs().max() < bound


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_gradients_reach_images_and_flow(mode):
    images, flow = made_up(1, 1, 5, 6, pixels=0.9, dtype=torch.float64)
    flow = torch.where((flow - flow.round()).abs() < 0.05, 0.3, flow)  # bilinear has a kink at every whole pixel
    assert torch.autograd.gradcheck(
        lambda i, f: warp(i, f, mode=mode), (images.requires_grad_(), flow.requires_grad_())
    )


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("tracked", [False, True])
def test_a_frame_does_not_depend_on_the_others(mode, tracked):
    images, flow = made_up(5)
    whole = warp(images.requires_grad_(tracked), flow, mode=mode)
    for index in range(5):
        alone = warp(images[index : index + 1], flow[index : index + 1], mode=mode)
        assert torch.equal(alone[0], whole[index])


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_flow_that_leads_nowhere_shows_nothing_and_writes_nowhere(mode, tracked, bad):
    """One that is NaN used to end the process in the backward pass, on a CPU."""
    images, flow = made_up(8, 3, 128, 128)
    wanted = warp(images, flow, mode=mode)
    flow[:, 0, 3], flow[:, 1, 5] = bad, bad
    images.requires_grad_(tracked)
    out = warp(images, flow, mode=mode)
    nowhere = torch.zeros(128, dtype=torch.bool)
    nowhere[[3, 5]] = True
    assert out[..., nowhere, :].isnan().all()
    assert torch.allclose(out[..., ~nowhere, :], wanted[..., ~nowhere, :], atol=1e-4)
    if tracked:
        out[..., ~nowhere, :].sum().backward()
        assert images.grad is not None and float(images.grad.sum()) == pytest.approx(8 * 3 * 126 * 128, rel=1e-4)


def test_threads_do_not_change_a_bit():
    images, flow = made_up(1, 1, 300, 400)
    before = torch.get_num_threads()
    try:
        made = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made.append(warp(images, flow))
            assert cv2.getNumThreads() == threads
        assert torch.equal(*made)
    finally:
        torch.set_num_threads(before)


def test_views_and_half_precision_are_taken():
    images, flow = made_up()
    wanted = warp(images, flow)
    turned = images.to(memory_format=torch.channels_last)
    assert torch.equal(warp(turned, flow.flip(0).flip(0)), wanted)
    half = warp(images.half(), flow)
    assert half.dtype == torch.float16 and torch.allclose(half.float(), wanted, atol=2e-3)  # 11 bits of mantissa
    assert warp(images[:0], flow[:0]).shape == (0, 3, 37, 53)


def test_what_does_not_fit_is_refused():
    images, flow = made_up()
    for arguments in ((images[0], flow), (images, flow[:1]), (images, flow[..., :-1]), (images, flow[:, :1])):
        with pytest.raises(ValueError, match="wanted"):
            warp(*arguments)
    with pytest.raises(ValueError, match="floating point"):
        warp(images.mul(255).byte(), flow)
    with pytest.raises(ValueError, match="nearest"):
        warp(images, flow, mode="nearest")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_a_gpu_agrees_with_the_cpu(mode):
    images, flow = made_up()
    assert torch.allclose(warp(images.cuda(), flow.cuda(), mode=mode).cpu(), warp(images, flow, mode=mode), atol=1e-4)


def test_sides_too_long_for_opencv_are_warped_all_the_same():
    long = module._OPENCV_SIDE + 10
    images = torch.arange(long, dtype=torch.float32).view(1, 1, 1, long)
    flow = torch.zeros((1, 2, 1, long))
    flow[:, 0] = 2.0
    assert torch.allclose(warp(images, flow)[..., :-2], images[..., 2:], atol=0.02)
