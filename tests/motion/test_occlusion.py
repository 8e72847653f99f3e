"""The mask of visible pixels: the reference masks of real frames, and what it means on made-up flow."""

import pytest
import torch

from tests.motion.pairs import flow_of, needs_data, picture
from vidperc.motion.occlusion import find_visible, points_inside

# A frame of the real sequence, the other one, the flow from the one to the other and back.
REFERENCES = {
    "1_2": ("forward_1_2", "backward_2_1"),
    "2_1": ("backward_2_1", "forward_1_2"),
    "2_3": ("forward_2_3", "backward_3_2"),
    "3_2": ("backward_3_2", "forward_2_3"),
}


@needs_data
@pytest.mark.parametrize("name", REFERENCES)
def test_reference_masks_are_met(name):
    flow, reverse = (flow_of(f"marple8_occlusion/{file}.flo")[None] for file in REFERENCES[name])
    wanted = picture(f"marple8_occlusion/reliable_{name}.pgm")[0] >= 128 / 255
    assert (find_visible(flow, reverse)[0, 0].bool() == wanted).float().mean() >= 0.999
    assert (find_visible(reverse, flow)[0, 0].bool() == wanted).float().mean() < 0.98, "the directions matter"


def still(height=40, width=60):
    return torch.zeros((1, 2, height, width))


def test_what_comes_back_is_visible_and_what_leaves_the_frame_is_not():
    flow = still()
    flow[:, 0], flow[:, 1] = 7.0, -3.0
    visible = find_visible(flow, -flow)[0, 0]
    assert visible[3:, :-7].all() and not visible[:3].any() and not visible[:, -7:].any()


def test_the_outermost_pixels_are_inside():
    assert find_visible(still(), still()).all()
    assert find_visible(still(1, 1), still(1, 1)).all() and find_visible(still(1, 5), still(1, 5)).all()


@pytest.mark.parametrize(("pixels", "seen"), [(0.70, True), (0.72, False)])
def test_half_a_squared_pixel_may_be_missed(pixels, seen):
    reverse = still()
    reverse[:, 0] = pixels  # 0.49 and 0.5184, of which 1 % more is allowed
    assert bool(find_visible(still(), reverse)[..., 20, 30]) is seen


def test_edges_of_motion_are_hidden():
    flow = still()
    flow[:, 0, :, 30:] = 2.0
    visible = find_visible(flow, -flow)[0, 0]
    assert not visible[:, 29:31].any() and visible[:, :28].all() and visible[:, 36:58].all()


def test_rows_at_a_time_give_what_the_formula_says():
    """Against the formulas of the paper, taken literally and in float64, on a flow of many strips."""
    source = torch.Generator().manual_seed(0)
    small = torch.randn((1, 2, 15, 8), generator=source)
    size = (700, 300)
    flow = torch.nn.functional.interpolate(small, size=size, mode="bicubic") * 0.8
    flow += torch.tensor([4.0, -3.0]).view(1, 2, 1, 1)
    reverse = -flow + torch.nn.functional.interpolate(torch.randn(small.shape, generator=source), size=size) * 0.6
    y, x = torch.meshgrid(torch.arange(size[0]).double(), torch.arange(size[1]).double(), indexing="ij")
    there = torch.stack([x, y]) + flow[0].double()
    grid = torch.stack([there[0] * 2 / (size[1] - 1) - 1, there[1] * 2 / (size[0] - 1) - 1], -1)[None]
    back = torch.nn.functional.grid_sample(reverse.double(), grid, padding_mode="border", align_corners=True)[0]
    here = flow[0].double()
    missed = (here + back).square().sum(0) >= 0.01 * (here.square().sum(0) + back.square().sum(0)) + 0.5
    padded = torch.nn.functional.pad(here[None], (1, 1, 1, 1), mode="replicate")[0]
    across, down = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2], padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    edge = (across.square() + down.square()).sum(0) / 4 > 0.01 * here.square().sum(0) + 0.002
    outside = (there[0] < 0) | (there[0] > size[1] - 1) | (there[1] < 0) | (there[1] > size[0] - 1)
    wanted = ~(missed | edge | outside)
    assert 0.2 < wanted.float().mean() < 0.9
    # Up to those whose threshold float32 rounds to the other side.
    assert (find_visible(flow, reverse)[0, 0].bool() == wanted).float().mean() > 0.9999


def test_a_frame_does_not_depend_on_the_others():
    flow, reverse = torch.randn((2, 4, 2, 50, 70), generator=torch.Generator().manual_seed(5))
    whole = find_visible(flow, reverse)
    alone = [find_visible(flow[i : i + 1], reverse[i : i + 1]) for i in range(4)]
    assert torch.equal(torch.cat(alone), whole)
    assert find_visible(flow[:0], reverse[:0]).shape == (0, 1, 50, 70)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="one shape"):
        find_visible(still(), still(41))


def test_points_inside_are_those_that_end_between_the_outermost_centres() -> None:
    flow = torch.zeros(2, 2, 4, 6)
    flow[0, 0] = 2.0
    flow[1, 1] = -0.5
    inside = points_inside(flow)
    assert inside.shape == (2, 1, 4, 6)
    assert (inside[0, 0] == (torch.arange(6) < 4)).all()
    assert (inside[1, 0] == (torch.arange(4) > 0)[:, None]).all()
