import pytest
import torch

from vidperc.perception.opponent import OPPONENT, OPPONENT_RANGES, opponent_to_rgb, rgb_to_opponent


def test_grey_has_luminance_alone_and_primaries_their_sides():
    grey, red, green, blue, yellow = rgb_to_opponent(
        torch.tensor([[0.5, 0.5, 0.5], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]]).view(5, 3, 1, 1)
    ).flatten(1)
    assert torch.allclose(grey, torch.tensor([3**0.5 / 2, 0, 0]), atol=1e-6)
    assert red[1] == -green[1] > 0
    assert blue[2] == -yellow[2] > 0


def test_squared_distances_stay_and_the_way_back_leads_back():
    one, other = torch.rand(2, 2, 4, 3, 6, 5)  # (N, T, 3, H, W)
    apart = (rgb_to_opponent(one) - rgb_to_opponent(other)).square().sum()
    assert torch.allclose(apart, (one - other).square().sum(), rtol=1e-5)
    assert torch.allclose(opponent_to_rgb(rgb_to_opponent(one)), one, atol=1e-6)


def test_values_stay_in_the_stated_ranges_and_reach_them():
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3).view(8, 3, 1, 1)
    found = rgb_to_opponent(corners)
    for channel, (low, high) in enumerate(OPPONENT_RANGES):
        assert float(found[:, channel].min()) == pytest.approx(low, abs=1e-6)
        assert float(found[:, channel].max()) == pytest.approx(high, abs=1e-6)
    assert torch.allclose(torch.tensor(OPPONENT) @ torch.tensor(OPPONENT).T, torch.eye(3), atol=1e-6)


def test_it_is_float32_under_autocast_and_its_gradient_that_of_finite_differences():
    picture = torch.rand(1, 3, 4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(rgb_to_opponent(picture), rgb_to_opponent(picture))
        assert rgb_to_opponent(picture).dtype == rgb_to_opponent(picture.bfloat16()).dtype == torch.float32
    assert torch.autograd.gradcheck(rgb_to_opponent, picture.double().requires_grad_())


def test_what_is_no_picture_is_refused():
    with pytest.raises(ValueError, match=r"opponent: got \(1, 1, 4, 4\)"):
        rgb_to_opponent(torch.rand(1, 1, 4, 4))
