"""Ping-pong: a recurrent network should make the same frames on its way back, so that nothing drifts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from vidperc.losses.checks import check_clip, check_pictures, wide
from vidperc.losses.term import Need, Opened, Term


def there_and_back(clip: Tensor) -> Tensor:
    """What to give the network: the frames in order, then all but the last in reverse, (N,T,...) to (N,2T-1,...)."""
    return torch.cat([clip, clip[:, :-1].flip(1)], dim=1)


def parted(clip: Tensor) -> tuple[Tensor, Tensor]:
    """What the network made of `there_and_back`, (N,2T-1,...): out, (N,T,...), and back in out's order, (N,T-1,...).

    Raises ValueError for an even number of frames.
    """
    if clip.shape[1] % 2 == 0:
        raise ValueError(f"ping-pong: got {clip.shape[1]} frames, wanted 2T-1, there and back")
    frames = clip.shape[1] // 2 + 1
    return clip[:, :frames], clip[:, frames:].flip(1)


def ping_pong(out: Tensor, back: Tensor) -> Tensor:
    """The mean of |out_t - back_t| over the frames that both passes made: 0 where both made the same.

    out: (N,T,3,H,W) RGB in [0,1], of the pass in order, T of at least 2. back: (N,T-1,3,H,W), or T of them, of the pass
    in reverse, in the order of out. The second pass doubles the memory.
    Returns a scalar, float32 or float64. Raises ValueError for anything else.
    Source: M. Chu et al., "Learning temporal coherence via self-supervision for GAN-based video generation", 2020,
    section 3.2 (doi:10.1145/3386569.3392457), where it is a sum of L2 norms in the text and L1 in the program.
    """
    check_clip("ping-pong", out)
    if back.ndim != 5 or back.shape[1] not in (out.shape[1] - 1, out.shape[1]):
        raise ValueError(
            f"ping-pong: got {tuple(back.shape)} for the pass back, wanted {tuple(out.shape)}, or a frame less"
        )
    out = out[:, : back.shape[1]]
    check_pictures("ping-pong", out, back)
    return (wide(out) - wide(back)).abs().mean()


@dataclass(frozen=True, kw_only=True)
class PingPong(Term):
    """`ping_pong` of out and the sample's back."""

    kind: Literal["ping-pong"] = "ping-pong"

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"clip", "back"})

    def open(self, weights: Path | None) -> Opened:
        return Opened(measure=lambda view: ping_pong(view.out, view.back))
