"""The flow's colour wheel."""

import math

import pytest
import torch

from vidperc.motion.colors import flow_to_rgb


def color(across, down, max_px=1.0):
    return flow_to_rgb(torch.tensor([across, down]).view(1, 2, 1, 1), max_px)[0, :, 0, 0]


@pytest.mark.parametrize(
    ("across", "down", "wanted"),
    [
        # The wheel's 55 colours: a direction's place is its angle in 54 steps, begun at the right, clockwise.
        (1.0, 0.0, (1.0, 0.0, 0.0)),
        (0.0, 1.0, (1.0, 13.5 / 15, 0.0)),
        (-1.0, 0.0, (0.0, 1 - 2 / 11, 1.0)),
        (0.0, -1.0, (4.5 / 13, 0.0, 1.0)),
    ],
)
def test_directions_have_the_colours_of_the_benchmark(across, down, wanted):
    assert torch.allclose(color(across, down), torch.tensor(wanted), atol=1e-5)


def test_rest_is_white_and_half_the_length_is_half_the_colour():
    assert torch.equal(color(0.0, 0.0), torch.ones(3))
    assert torch.allclose(color(0.5, 0.0), torch.tensor([1.0, 0.5, 0.5]), atol=1e-6)


def test_what_is_longer_is_darker_and_what_is_unknown_black():
    assert torch.allclose(color(3.0, 0.0), torch.tensor([0.75, 0.0, 0.0]), atol=1e-6)
    assert torch.equal(color(math.nan, 0.0), torch.zeros(3))


def test_all_around_neighbours_are_alike():
    angle = torch.linspace(0.001, 2 * math.pi - 0.001, 2000)
    around = flow_to_rgb(torch.stack([angle.cos(), angle.sin()]).view(1, 2, 1, -1), 1.0)[0, :, 0]
    assert around.min() >= 0 and around.max() <= 1
    assert (around[:, 1:] - around[:, :-1]).abs().max() < 0.01
    # The benchmark's wheel has 54 steps for 55 colours, so that its last is next to its first: a sixth of a channel.
    assert (around[:, 0] - around[:, -1]).abs().max() < 0.17


def test_the_longest_has_the_full_colour_when_none_is_given():
    flow = torch.zeros((2, 2, 4, 5))
    flow[1, 0, 2, 2] = 7.0
    made = flow_to_rgb(flow)
    assert made.shape == (2, 3, 4, 5)
    assert torch.allclose(made[1, :, 2, 2], torch.tensor([1.0, 0.0, 0.0]), atol=1e-5)
    assert torch.equal(made[0], torch.ones(3, 4, 5)), "one scale for all frames"
    assert torch.equal(flow_to_rgb(torch.zeros((1, 2, 3, 3))), torch.ones((1, 3, 3, 3)))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="wanted"):
        flow_to_rgb(torch.zeros((2, 4, 5)))
    with pytest.raises(ValueError, match="more than 0"):
        flow_to_rgb(torch.zeros((1, 2, 4, 5)), 0.0)
