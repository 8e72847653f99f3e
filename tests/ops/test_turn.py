from __future__ import annotations

from itertools import product

import pytest
import torch

from vidperc.ops.turn import Turn, turned, turned_flow
from vidperc.ops.warp import warp

TURNS = [Turn(transposed=t, mirrored=m, upside_down=u) for t, m, u in product([False, True], repeat=3)]


@pytest.mark.parametrize("turn", TURNS)
def test_turned_flow_warps_turned_pictures_as_flow_warps_pictures(turn: Turn) -> None:
    chance = torch.Generator().manual_seed(0)
    pictures = torch.rand((2, 3, 17, 23), generator=chance)
    flow = 4 * torch.randn((2, 2, 17, 23), generator=chance)
    made = warp(turned(pictures, turn), turned_flow(flow, turn))
    assert torch.allclose(made, turned(warp(pictures, flow), turn), atol=1e-5)
    assert (turn == Turn()) == torch.equal(turned(pictures, turn), pictures)
