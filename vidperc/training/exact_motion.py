"""The motion of made-up clips, which is known: where a camera looked, and what passed before it."""

from __future__ import annotations

from math import ceil
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vidperc.clip import Motion
from vidperc.motion.occlusion import points_inside
from vidperc.ops.warp import warp
from vidperc.training.clips import Filmed

# The share of a pixel from which on it counts as a surface's alone.
_WHOLE = 0.99


def exact_motion(filmed: Filmed, side: int) -> Motion:
    """How the frames of a made-up clip move at this size, flow (T,2,side,side) in its pixels.

    Visible is what the frame before shows, too: it lies inside it, and is of the same surface there. Pixels within one
    of an edge between surfaces, which they are a mixture of when frames are shrunk, are not.
    """
    ratio = filmed.taken / side
    centres = (np.arange(side, dtype=np.float64) + 0.5) * ratio  # in pixels of the pictures as they were taken
    nearest = centres.astype(int)
    flow = torch.zeros(len(filmed.pixels), 2, side, side)
    alone = torch.zeros(len(filmed.pixels), 1 + len(filmed.layers), side, side)  # (T, surfaces, side, side)
    for time in range(len(flow)):
        shares = _shares(filmed, time)  # (surfaces, taken, taken)
        alone[time] = torch.from_numpy(_alone(shares, ratio)[:, nearest[:, None], nearest])
        if time:
            owner = shares[:, nearest[:, None], nearest].argmax(axis=0)  # (side, side)
            moves = _moves(filmed, time, centres)  # (surfaces, 2, side, side)
            flow[time] = torch.from_numpy(np.take_along_axis(moves, owner[None, None], axis=0)[0] / ratio)
    here = alone[1:]
    there = torch.stack([warp(alone[:-1, [place]], flow[1:])[:, 0] for place in range(alone.shape[1])], dim=1)
    # Where a surface is alone in both frames, and in every pixel that the warp mixes; sums of ones may miss 1 by a bit.
    visible = (here * (there > 1 - 1e-4)).amax(dim=1, keepdim=True) * points_inside(flow[1:])
    return Motion(flow=flow, visible=torch.cat([torch.zeros(1, 1, side, side), visible]))


def _moves(filmed: Filmed, time: int, centres: NDArray[Any]) -> NDArray[np.float64]:
    """Of each surface, from each of these places to where it was in the picture before, (surfaces,2,side,side)."""
    now, before = filmed.views[time], filmed.views[time - 1]
    places = np.stack(np.meshgrid(centres, centres)).reshape(2, -1)  # (2, side*side), across and down
    in_image = now[:, :2] @ places + now[:, 2:]
    moves = np.empty((1 + len(filmed.layers), *places.shape))
    moves[0] = np.linalg.solve(before[:, :2], in_image - before[:, 2:]) - places
    for move, layer in zip(moves[1:], filmed.layers, strict=True):
        move[:] = (layer.places[time - 1] - layer.places[time])[:, None]
    return moves.reshape(-1, 2, len(centres), len(centres))


def _shares(filmed: Filmed, time: int) -> NDArray[np.float32]:
    """How much each surface has of each pixel, (surfaces,taken,taken) in [0,1]; the image is the first of them."""
    shares: list[NDArray[Any]] = [np.ones((filmed.taken, filmed.taken), np.float32)]
    for layer in filmed.layers:
        way = np.array([[1, 0, layer.places[time, 0]], [0, 1, layer.places[time, 1]]], np.float64)
        mask = cv2.warpAffine(layer.mask, way, (filmed.taken, filmed.taken), flags=cv2.INTER_NEAREST)
        share = np.asarray(mask, np.float32) / 255
        for behind in shares:
            behind *= 1 - share
        shares.append(share)
    return np.stack(shares)


def _alone(shares: NDArray[np.float32], ratio: float) -> NDArray[np.float32]:
    """Where nothing else is mixed into a pixel `ratio` as large, (surfaces,taken,taken) of 0 and 1."""
    reach = 2 * ceil(ratio) + 1
    whole = (shares >= _WHOLE).astype(np.uint8)
    return np.stack([cv2.erode(surface, np.ones((reach, reach), np.uint8)) for surface in whole]).astype(np.float32)
