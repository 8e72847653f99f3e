from __future__ import annotations

import pytest
import torch

from tests.losses.made_up import pictures
from vidperc.losses.ping_pong import parted, ping_pong, there_and_back
from vidperc.losses.temporal_difference import temporal_difference


def test_a_constant_error_is_not_seen_and_flicker_is() -> None:
    true = pictures(1, 4, 3, 5, 5)
    assert float(temporal_difference(true + 0.1, true)) < 1e-6
    flickering = true + 0.1 * torch.tensor([0.0, 1.0, 0.0, 1.0]).view(1, 4, 1, 1, 1)
    assert float(temporal_difference(flickering, true)) == pytest.approx(0.1, abs=1e-6)


def test_one_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^temporal-difference: got a clip of 1 frame, wanted at least 2 frames"):
        temporal_difference(pictures(1, 1, 3, 5, 5), pictures(1, 1, 3, 5, 5))
    with pytest.raises(ValueError, match=r"^temporal-difference: got \(2, 3, 5, 5\), wanted clips \(N,T,3,H,W\)"):
        temporal_difference(pictures(2, 3, 5, 5), pictures(2, 3, 5, 5))


def test_there_and_back_is_taken_apart_again() -> None:
    clip = pictures(2, 4, 3, 5, 5)
    out, back = parted(there_and_back(clip))
    assert torch.equal(out, clip) and torch.equal(back, clip[:, :-1])
    assert float(ping_pong(out, back)) == 0
    with pytest.raises(ValueError, match=r"^ping-pong: got 4 frames, wanted 2T-1"):
        parted(clip)


def test_ping_pong_sees_what_drifts() -> None:
    clip = pictures(1, 3, 3, 5, 5)
    drift = 0.01 * torch.arange(5.0).view(1, 5, 1, 1, 1)  # of a recurrent network, over 5 steps
    out, back = parted(there_and_back(clip) + drift)
    assert float(ping_pong(out, back)) == pytest.approx((0.04 + 0.02) / 2, abs=1e-6)


def test_ping_pong_refuses_a_pass_of_another_length() -> None:
    clip = pictures(1, 4, 3, 5, 5)
    with pytest.raises(ValueError, match=r"^ping-pong: got \(1, 2, 3, 5, 5\) for the pass back"):
        ping_pong(clip, clip[:, :2])
    with pytest.raises(ValueError, match=r"^ping-pong: got a clip of 1 frame"):
        ping_pong(clip[:, :1], clip[:, :1])
