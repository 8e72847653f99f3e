"""Pictures turned by quarters and mirrored, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What is done to a picture, in this order: rows become columns, then left and right, top and bottom change."""

    transposed: bool = False
    mirrored: bool = False
    upside_down: bool = False

    def __bool__(self) -> bool:
        return self.transposed or self.mirrored or self.upside_down

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what was that wide and high, and the other way round."""
        return (height, width) if self.transposed else (width, height)


NO_TURN = Turn()


def turned(picture: Tensor, turn: Turn) -> Tensor:
    """(...,h,w) turned; itself where there is nothing to do, else contiguous."""
    if not turn:
        return picture
    picture = picture.mT if turn.transposed else picture
    axes = [axis for axis, flip in ((-1, turn.mirrored), (-2, turn.upside_down)) if flip]
    return (picture.flip(axes) if axes else picture).contiguous()


def turned_flow(flow: Tensor, turn: Turn) -> Tensor:
    """Flow (...,2,h,w), across and then down, as the turned pictures have it: its vectors turn with the picture."""
    if not turn:
        return flow
    flow = turned(flow, turn)
    if turn.transposed:
        flow = flow.flip(-3)
    signs = flow.new_tensor([-1 if turn.mirrored else 1, -1 if turn.upside_down else 1])
    return flow * signs[:, None, None]
