from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.losses.made_up import pictures
from vidperc.losses.lattice import Lattice, lattice
from vidperc.losses.objective import Objective
from vidperc.losses.pixel import l1
from vidperc.losses.sample import Sample


def grid(period: int, side: int = 64) -> Tensor:
    """One pixel of each cell too bright by 0.1."""
    cell = torch.zeros(period, period)
    cell[1, 1] = 0.1
    return cell.tile(side // period + 1, side // period + 1)[:side, :side]


@pytest.mark.parametrize("period", [2, 4])
def test_a_grid_counts_as_much_as_it_differs_from_its_mean(period: int) -> None:
    true = 0.2 + 0.6 * pictures(1, 3, 64, 64)
    share = 1 / period**2
    wanted = 0.1 * (share * (1 - share) + (1 - share) * share)
    assert float(lattice(true + grid(period), true, period=period)) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("shift", [(1, 0), (0, 3), (2, 1)])
def test_where_cells_begin_does_not_matter(shift: tuple[int, int]) -> None:
    true = 0.2 + 0.6 * pictures(1, 3, 72, 72)
    out = true + grid(4, 72)
    cut = (..., slice(shift[0], None), slice(shift[1], None))
    assert float(lattice(out[cut], true[cut], period=4)) == pytest.approx(float(lattice(out, true, period=4)), rel=1e-3)


def test_a_grid_costs_more_than_texture_as_strong() -> None:
    true = torch.full((1, 3, 128, 128), 0.5)
    strong = grid(4, 128) - grid(4, 128).mean()
    texture = strong.flatten()[torch.randperm(128 * 128, generator=torch.Generator().manual_seed(0))].view(128, 128)
    same, other = (true + pattern for pattern in (strong, texture))
    assert float(l1(same, true)) == pytest.approx(float(l1(other, true)), rel=1e-4)
    assert float(lattice(same, true, period=4)) > 1.2 * float(lattice(other, true, period=4))


def test_light_and_what_is_slower_than_a_cell_cost_nothing() -> None:
    true = 0.2 + 0.5 * pictures(2, 3, 32, 32)
    assert float(lattice(true + 0.1, true, period=4)) == pytest.approx(0, abs=1e-6)
    cells = F.interpolate(0.2 * pictures(2, 3, 8, 8, seed=1), scale_factor=4, mode="nearest")
    assert float(lattice(true + cells, true, period=4)) == pytest.approx(0, abs=1e-6)


def test_what_the_period_does_not_divide_is_left_out() -> None:
    out, true = pictures(1, 3, 19, 22), pictures(1, 3, 19, 22, seed=1)
    assert torch.equal(lattice(out, true, period=4), lattice(out[..., :16, :20], true[..., :16, :20], period=4))


def test_small_pictures_have_one_window() -> None:
    true = torch.full((1, 3, 4, 4), 0.5)
    assert float(lattice(true + grid(4, 4), true, period=4)) == pytest.approx(0.1 * 2 * (1 / 16) * (15 / 16), rel=1e-4)


def test_clips_are_as_their_frames() -> None:
    out, true = pictures(2, 3, 3, 16, 16), pictures(2, 3, 3, 16, 16, seed=1)
    frames = lattice(out.flatten(0, 1), true.flatten(0, 1), period=2)
    assert torch.equal(lattice(out, true, period=2), frames)


def test_the_term_asks_for_it_and_a_wrong_period_is_refused() -> None:
    out, true = pictures(2, 3, 16, 18), pictures(2, 3, 16, 18, seed=1)
    total = Objective.open([Lattice(period=4)])(Sample(out=out, true=true)).total
    assert torch.equal(total, lattice(out, true, period=4))
    with pytest.raises(ValueError, match=r"^period: got 1, wanted at least 2 pixels$"):
        Lattice(period=1)
    with pytest.raises(ValueError, match=r"^lattice: got a period of 1, wanted at least 2 pixels$"):
        lattice(out, true, period=1)
