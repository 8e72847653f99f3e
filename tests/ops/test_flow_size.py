"""Flow and masks at another size."""

import pytest
import torch
import torch.nn.functional as F

from vidperc.ops.flow_size import resize_flow, resize_mask
from vidperc.ops.warp import warp


@pytest.mark.parametrize("size", [(90, 160), (33, 47), (60, 40)])
def test_vectors_are_resized_and_rescaled(size):
    flow = torch.zeros((2, 2, 45, 80))
    flow[:, 0], flow[:, 1] = 8.0, -4.5  # a tenth of the frame each way
    out = resize_flow(flow, size)
    assert out.shape == (2, 2, *size)
    assert torch.allclose(out[:, 0], torch.tensor(size[1] / 10), atol=1e-4)
    assert torch.allclose(out[:, 1], torch.tensor(-size[0] / 10), atol=1e-4)


def test_enlarging_gives_the_numbers_of_torch():
    flow = torch.randn((2, 2, 21, 34), generator=torch.Generator().manual_seed(0))
    wanted = F.interpolate(flow, size=(50, 68), mode="bilinear", align_corners=False)
    wanted = wanted * torch.tensor([2.0, 50 / 21]).view(1, 2, 1, 1)
    assert torch.allclose(resize_flow(flow, (50, 68)), wanted, atol=1e-5)
    assert torch.allclose(resize_flow(flow.requires_grad_(), (50, 68)), wanted, atol=1e-5)


def test_a_frame_does_not_depend_on_the_others():
    flow = torch.randn((4, 2, 21, 34), generator=torch.Generator().manual_seed(0))
    for size in ((50, 70), (13, 20), (40, 20)):
        whole = resize_flow(flow, size)
        assert torch.equal(torch.cat([resize_flow(flow[i : i + 1], size) for i in range(4)]), whole)


def test_a_picture_moves_alike_at_both_sizes():
    """Warping and then enlarging is enlarging and then warping, for a smooth picture."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    picture = (torch.sin(x / 9) + torch.cos(y / 7))[None, None]
    flow = torch.stack([torch.sin(y / 20) * 3, torch.cos(x / 20) * 2])[None]
    small = F.interpolate(warp(picture, flow), scale_factor=2, mode="bilinear")
    large = warp(F.interpolate(picture, scale_factor=2, mode="bilinear"), resize_flow(flow, (128, 192)))
    assert (small - large)[..., 12:-12, 12:-12].abs().max() < 0.01
    wrong = warp(F.interpolate(picture, scale_factor=2, mode="bilinear"), F.interpolate(flow, scale_factor=2))
    assert (small - wrong)[..., 12:-12, 12:-12].abs().max() > 0.1, "vectors that are not rescaled would show"


@pytest.mark.parametrize("size", [(40, 60), (41, 61), (7, 11), (10, 15), (40, 8), (20, 30)])
def test_a_mask_is_1_only_where_everything_mixed_in_is(size):
    mask = (torch.rand((1, 1, 20, 30), generator=torch.Generator().manual_seed(1)) > 0.05).float()
    out = resize_mask(mask, size)
    assert set(out.unique().tolist()) <= {0.0, 1.0} and out.shape == (1, 1, *size)
    # The flow of hidden pixels is made absurd: no pixel that is still visible may notice.
    calm = torch.zeros((1, 2, 20, 30))
    absurd = torch.where(mask == 1, calm, torch.tensor(1e6))
    touched = (resize_flow(absurd, size) != 0).any(dim=1, keepdim=True)
    assert touched.any() and torch.equal(out == 0, touched)


def test_the_own_size_changes_nothing():
    flow, mask = torch.randn((1, 2, 9, 9)), torch.ones((1, 1, 9, 9))
    assert resize_flow(flow, (9, 9)) is flow and resize_mask(mask, (9, 9)) is mask
    assert torch.equal(resize_mask(mask, (18, 13)), torch.ones((1, 1, 18, 13)))


def test_what_does_not_fit_is_refused():
    for call in (
        lambda: resize_flow(torch.zeros((1, 3, 4, 4)), (8, 8)),
        lambda: resize_flow(torch.zeros((1, 2, 4, 4)).half(), (8, 8)),
        lambda: resize_mask(torch.zeros((1, 1, 4, 4)), (0, 8)),
    ):
        with pytest.raises(ValueError, match="wanted"):
            call()
