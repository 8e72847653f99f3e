"""How much of a picture another one does not show: what tells a cut from movement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

# Pictures are compared at this size, whatever their shape: small enough to be quick and to forgive what moves a little.
WIDTH, HEIGHT = 64, 40

_BLOCK = 8
_REACH = 4  # a block is looked for this far around its place: a sixteenth of the picture's width

# The variance, in 8-bit codes, beyond which a block does not count for more: a strong edge is no more than grass.
_MOST_VARIANCE = 36.0

# The variance that compression leaves in a block without content.
_NOISE_VARIANCE = 1.0

# Blocks of the other picture are brought to the contrast of this one, as far as a fade may have changed it.
_MOST_GAIN = 4.0

# Rows and columns with nothing brighter are black bars, in 8-bit codes of full range.
_BLACKEST = 24.0

# Bars count as picture when they leave less than this share of the blocks.
_LEAST_COUNTED = 0.2

Luma = NDArray[np.uint8]


@dataclass(frozen=True)
class Texture:
    """A small picture, prepared for being compared.

    mean, contrast: of the whole, in 8-bit codes; contrast is the standard deviation.
    blocks: (B,64) of its 8x8 blocks, each without its mean. weights: (B,) how much each block counts.
    barred: (B,) the blocks that lie, in part, in black bars around the picture.
    around: (H+2R,W+2R) the picture with its edges repeated.
    """

    mean: float
    contrast: float
    blocks: NDArray[np.float32]
    weights: NDArray[np.float32]
    barred: NDArray[np.bool_]
    around: NDArray[np.float32]


def texture(luma: Luma) -> Texture:
    """Prepare a small picture, (HEIGHT,WIDTH) luma in 8-bit codes."""
    picture = luma.astype(np.float32)
    down, across = HEIGHT // _BLOCK, WIDTH // _BLOCK
    blocks = picture.reshape(down, _BLOCK, across, _BLOCK).swapaxes(1, 2).reshape(down * across, -1)  # (B,64)
    blocks = blocks - blocks.mean(axis=1, keepdims=True)
    return Texture(
        mean=float(picture.mean()),
        contrast=float(picture.std()),
        blocks=blocks,
        weights=np.minimum((blocks * blocks).mean(axis=1), _MOST_VARIANCE),
        barred=_barred(picture),
        around=np.pad(picture, _REACH, mode="edge"),
    )


def novelty(one: Texture, other: Texture) -> float:
    """The share, 0 to 1, of a picture's texture that another does not show, whichever of the two shows less new.

    Every 8x8 block of one is looked for in the other, nearby; what is left after the best match counts against the
    block's own variance. Brightness and contrast may differ. Small for movement, large across a cut; the zoom out of a
    scene is new at its borders, but seen backwards it is not.
    Source: the idea is that of x264's scene cut, prediction from the last picture against prediction from within.
    """
    return min(_unseen(one, other, _best_match), _unseen(other, one, _best_match))


def novelty_in_place(one: Texture, other: Texture) -> float:
    """As novelty, without looking around: never less than it, and much quicker."""
    return min(_unseen(one, other, _match_in_place), _unseen(other, one, _match_in_place))


def _unseen(one: Texture, other: Texture, match: Callable[[Texture, Texture, float], NDArray[np.float32]]) -> float:
    gain = min(_MOST_GAIN, max(1 / _MOST_GAIN, one.contrast / max(other.contrast, 1e-3)))
    own = (one.blocks * one.blocks).mean(axis=1)
    left = np.minimum(match(one, other, gain), own) / np.maximum(own, 1e-6)
    counted = ~(one.barred & other.barred)  # bars stay across every cut, and their edges are strong
    if counted.sum() < _LEAST_COUNTED * len(counted):
        counted[:] = True
    weights = one.weights * counted
    return float((weights * left).sum()) / (float(weights.sum()) + _NOISE_VARIANCE * int(counted.sum()))


def _barred(picture: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which blocks touch black rows or columns at the borders of a picture, (B,)."""
    inside = picture > _BLACKEST
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    found = np.ones((HEIGHT // _BLOCK, WIDTH // _BLOCK), np.bool_)
    if len(rows):
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        found[-(-top // _BLOCK) : bottom // _BLOCK, -(-left // _BLOCK) : right // _BLOCK] = False
    return found.ravel()


def _match_in_place(one: Texture, other: Texture, gain: float) -> NDArray[np.float32]:
    """What each block differs by from the block in its place, (B,) mean squares."""
    difference = one.blocks - gain * other.blocks
    return (difference * difference).mean(axis=1)


def _best_match(one: Texture, other: Texture, gain: float) -> NDArray[np.float32]:
    """What each block differs by from the best of the other's patches around its place, (B,) mean squares."""
    patches = _patches(other.around)  # (B,S,64)
    means = patches.mean(axis=2)
    variances = np.einsum("bsp,bsp->bs", patches, patches) / patches.shape[2] - means * means
    shared = np.matmul(patches, one.blocks[:, :, None])[..., 0] / patches.shape[2]  # blocks have no mean: a covariance
    own = (one.blocks * one.blocks).mean(axis=1, keepdims=True)
    return np.maximum(own + gain * gain * variances - 2 * gain * shared, 0).min(axis=1)


def _patches(around: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every patch within reach of every block, (B,S,64)."""
    down, across, steps = HEIGHT // _BLOCK, WIDTH // _BLOCK, 2 * _REACH + 1
    rows, columns = around.strides
    view = as_strided(
        around,
        (down, across, steps, steps, _BLOCK, _BLOCK),
        (_BLOCK * rows, _BLOCK * columns, rows, columns, rows, columns),
        writeable=False,
    )
    return view.reshape(down * across, steps * steps, _BLOCK * _BLOCK)  # (B,S,64)
