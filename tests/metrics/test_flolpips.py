import pytest
import torch
import torch.nn.functional as F

from vidperc.metrics.flolpips import flolpips


def by_definition(maps: list[torch.Tensor], apart: torch.Tensor) -> float:
    """Written down position by position."""
    found = 0.0
    for plane in maps:
        sized = F.interpolate(apart, size=plane.shape[-2:], mode="bilinear")[0]
        height, width = plane.shape[-2:]
        places = [(y, x) for y in range(height) for x in range(width)]
        weights = {(y, x): float(torch.linalg.vector_norm(sized[:, y, x])) for y, x in places}
        found += sum(weights[p] / sum(weights.values()) * float(plane[0, 0, p[0], p[1]]) for p in places)
    return found


def test_each_position_counts_as_much_as_the_flows_differ_there() -> None:
    torch.manual_seed(0)
    maps = [torch.rand(1, 1, 6, 8), torch.rand(1, 1, 3, 4)]
    apart = torch.randn(1, 2, 12, 16)
    assert flolpips(maps, apart) == pytest.approx(by_definition(maps, apart), rel=1e-4)


def test_what_moves_as_it_should_does_not_count() -> None:
    plane = torch.zeros(1, 1, 4, 8)
    plane[..., 4:] = 1
    apart = torch.zeros(1, 2, 8, 16)
    apart[:, 0, :, :6] = 3
    assert flolpips([plane], apart) == pytest.approx(0, abs=1e-6)
    assert flolpips([plane], apart.flip(-1)) == pytest.approx(1, abs=1e-6)


def test_equal_flows_leave_plain_lpips() -> None:
    maps = [torch.rand(1, 1, 6, 8), torch.rand(1, 1, 3, 4)]
    plain = sum(float(plane.mean()) for plane in maps)
    assert flolpips(maps, torch.zeros(1, 2, 12, 16)) == pytest.approx(plain, rel=1e-5)
