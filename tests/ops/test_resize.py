from __future__ import annotations

from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vidperc.ops.resize import Kernel, resize, taps

KERNELS: tuple[Kernel, ...] = get_args(Kernel)
SIZES = [(48, 66), (12, 16), (31, 50), (1, 1), (24, 20)]

TORCH = tuple(int(part) for part in torch.__version__.split(".")[:2])


def frames(count: int = 3, height: int = 24, width: int = 33) -> Tensor:
    return torch.rand((count, 3, height, width), generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("size", SIZES)
def test_bicubic_is_torchs_antialiased_bicubic(size: tuple[int, int]) -> None:
    wanted = F.interpolate(frames(), size=list(size), mode="bicubic", align_corners=False, antialias=True)
    assert torch.equal(resize(frames(), size, "bicubic"), wanted)


@pytest.mark.skipif(TORCH < (2, 12), reason="torch resizes with lanczos from 2.12 on")
@pytest.mark.parametrize("size", SIZES)
def test_lanczos_is_torchs_lanczos(size: tuple[int, int]) -> None:
    wanted = F.interpolate(frames(), size=list(size), mode="lanczos", align_corners=False, antialias=True)
    # torch finds the taps' places in float32, which moves them by up to about 1e-5 pixels.
    torch.testing.assert_close(resize(frames(), size, "lanczos"), wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", SIZES)
def test_a_flat_frame_stays_flat_to_its_borders(kernel: Kernel, size: tuple[int, int]) -> None:
    flat = torch.full((1, 3, 24, 33), 0.7)
    torch.testing.assert_close(resize(flat, size, kernel), torch.full((1, 3, *size), 0.7), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", SIZES)
def test_a_frame_does_not_depend_on_the_frames_beside_it(kernel: Kernel, size: tuple[int, int]) -> None:
    together = resize(frames(), size, kernel)
    assert together.is_contiguous()
    for index in range(3):
        assert torch.equal(together[index], resize(frames()[index : index + 1], size, kernel)[0])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", SIZES)
def test_the_order_of_the_numbers_in_memory_changes_nothing(kernel: Kernel, size: tuple[int, int]) -> None:
    channels_last = frames().contiguous(memory_format=torch.channels_last)
    assert torch.equal(resize(channels_last, size, kernel), resize(frames(), size, kernel))


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_mirrored_frame_gives_the_mirrored_result(kernel: Kernel) -> None:
    mirrored = resize(frames().flip(-1), (40, 50), kernel).flip(-1)
    torch.testing.assert_close(mirrored, resize(frames(), (40, 50), kernel), atol=1e-5, rtol=0)  # order of sums


@pytest.mark.parametrize(("kernel", "bound"), [("bicubic", 1e-4), ("lanczos", 0.02)])
def test_a_ramp_is_not_shifted(kernel: Kernel, bound: float) -> None:
    ramp = torch.arange(40.0).repeat(1, 1, 8, 1)  # (1,1,8,40)
    centres = (torch.arange(120.0) + 0.5) / 3 - 0.5
    made = resize(ramp, (24, 120), kernel)
    # Keys' kernel reproduces straight lines, to the rounding of numbers up to 40; Lanczos ripples a little.
    # Borders are left out: there the ramp ends.
    torch.testing.assert_close(made[0, 0, 12, 12:-12], centres[12:-12], atol=bound, rtol=0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_shrinking_averages_what_it_cannot_show(kernel: Kernel) -> None:
    stripes = torch.tensor([0.0, 1.0]).repeat(32)[None, None, None, :].expand(1, 1, 64, 64).contiguous()
    made = resize(stripes, (16, 16), kernel)
    torch.testing.assert_close(made[..., 4:-4], torch.full((1, 1, 16, 8), 0.5), atol=0.01, rtol=0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_same_size_gives_the_frames_back(kernel: Kernel) -> None:
    same = frames()
    assert resize(same, (24, 33), kernel) is same


@pytest.mark.parametrize("kernel", KERNELS)
def test_no_frames_give_no_frames(kernel: Kernel) -> None:
    assert resize(frames()[:0], (10, 12), kernel).shape == (0, 3, 10, 12)


@pytest.mark.parametrize(("old", "new"), [(1, 1), (1, 7), (7, 1), (100, 33), (33, 100), (5, 4), (2000, 3)])
def test_taps_lie_in_the_axis_and_sum_to_one(old: int, new: int) -> None:
    positions, weights = taps(old, new, "lanczos")
    assert positions.shape == weights.shape == (new, positions.shape[1])
    assert int(positions.min()) >= 0
    assert int(positions.max()) < old
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(new), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("wrong", "size", "kernel"),
    [
        (frames()[0], (4, 4), "bicubic"),
        (frames().double(), (4, 4), "bicubic"),
        (frames(), (0, 4), "lanczos"),
        (frames(), (4, 4), "nearest"),
    ],
)
def test_what_cannot_be_resized_is_refused(wrong: Tensor, size: tuple[int, int], kernel: Kernel) -> None:
    with pytest.raises(ValueError, match="wanted"):
        resize(wrong, size, kernel)
