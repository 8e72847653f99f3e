"""Finds how far a convolutional network looks, so that tiles with that much overlap lose nothing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

# What networks that treat every place alike are made of. All else (attention, normalisation over the frame, pooling
# to one value, sampling at computed places) is not even probed.
_LOCAL_LAYERS = (
    nn.AvgPool2d,
    nn.BatchNorm2d,
    nn.Conv2d,
    nn.ConvTranspose2d,
    nn.Dropout,
    nn.ELU,
    nn.GELU,
    nn.Hardswish,
    nn.Identity,
    nn.LeakyReLU,
    nn.MaxPool2d,
    nn.Mish,
    nn.PReLU,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
    nn.ReLU,
    nn.ReLU6,
    nn.ReflectionPad2d,
    nn.ReplicationPad2d,
    nn.SiLU,
    nn.Sigmoid,
    nn.Tanh,
    nn.Upsample,
    nn.ZeroPad2d,
)

# Limits are counted in pixels and multiplications, never in seconds: a busy machine must not change a card.
_STRIP_LENGTHS = (64, 128, 256)
_STRIP_WIDTH = 4
_ROWS_TO_COMPARE = 16
_MULTIPLICATIONS = 2_500_000_000

# Far above what the order of float64 sums changes, far below what a trained layer changes.
_SAME = 1e-9

Network = Callable[[Tensor], Tensor]


@torch.no_grad()
def find_reach(layers: nn.Module, network: Network, *, scale: int, multiple_of: int, minimum: int) -> int | None:
    """How many input pixels away, along either axis, an output pixel still depends on; None when that is not found.

    layers: the modules, in float64 on the CPU, in evaluation mode. network: runs them, (1,3,h,w) to
    (1,3,h*scale,w*scale). multiple_of, minimum: what the network asks of its input's sides; the reach holds for
    tiles cut at such multiples.

    It is measured and not summed up from the layers, because a forward function may do anything between them:
    1. Only networks made of layers that treat every place alike are tried.
    2. One row of a strip is made NaN. Every output row that depends on it becomes NaN, whatever the weights (0 times
       NaN is NaN) and the data (a closed ReLU passes NaN on). So it is an upper bound for every input, and rounding
       hides nothing, as it would hide a small change of one pixel. The strip grows until the NaN end inside it.
       Then the same along the other axis.
    3. The strip without its first and last rows must give the same rows again where the new ends are out of reach.
       That throws out what ends early but is not alike everywhere: windows, learned positions, padding to a
       multiple inside the network.
    None for a network that reaches farther than about 110 pixels or is too large to probe within about a second:
    so much overlap would cost far more than it saves.
    """
    if not all(isinstance(layer, _LOCAL_LAYERS) for layer in layers.modules() if next(layer.children(), None) is None):
        return None
    parameters = sum(parameter.numel() for parameter in layers.parameters())
    width = _round_up(max(_STRIP_WIDTH, minimum), multiple_of)
    for least_length in _STRIP_LENGTHS:
        length = _round_up(max(least_length, minimum + 2 * multiple_of), multiple_of)
        if parameters * length * width > _MULTIPLICATIONS:
            return None
        try:
            reaches = [_spread(network, length, width, lie, scale=scale, multiple_of=multiple_of) for lie in (2, 3)]
            if None in reaches:
                continue
            reach = max(found for found in reaches if found is not None)
            if length - 2 * reach - 2 * multiple_of < _ROWS_TO_COMPARE:
                continue
            same = all(
                _alike(network, length, width, lie, reach, scale=scale, multiple_of=multiple_of) for lie in (2, 3)
            )
        except (RuntimeError, ValueError, AssertionError):
            # The network does not take so narrow a strip; nothing is known about it then.
            return None
        return reach if same else None
    return None


def _strip(length: int, width: int, axis: int) -> Tensor:
    random = torch.Generator().manual_seed(0)
    strip = torch.rand((1, 3, length, width), generator=random, dtype=torch.float64)
    return strip if axis == 2 else strip.transpose(2, 3).contiguous()


def _spread(network: Network, length: int, width: int, axis: int, *, scale: int, multiple_of: int) -> int | None:
    """The reach along one axis (2 or 3), None when the NaN come to an end of the strip or vanish."""
    strip = _strip(length, width, axis)
    # A whole block, so that all places between two multiples are tried at once; measured from its edges.
    start = length // 2 // multiple_of * multiple_of
    strip.narrow(axis, start, multiple_of).fill_(torch.nan)
    touched = network(strip).isnan().any(dim=1).any(dim=4 - axis).flatten().nonzero().flatten()  # (rows,)
    if not len(touched):
        return None
    first, last = int(touched[0]) // scale, int(touched[-1]) // scale
    if first == 0 or last == length - 1:
        return None
    return max(start - first, last - (start + multiple_of - 1), 0)


def _alike(network: Network, length: int, width: int, axis: int, reach: int, *, scale: int, multiple_of: int) -> bool:
    """Whether a strip without its first and last block of rows gives the same rows where the ends are out of reach."""
    strip = _strip(length, width, axis)
    whole = network(strip)
    part = network(strip.narrow(axis, multiple_of, length - 2 * multiple_of).contiguous())
    rows = length - 2 * multiple_of - 2 * reach
    whole = whole.narrow(axis, (multiple_of + reach) * scale, rows * scale)
    part = part.narrow(axis, reach * scale, rows * scale)
    return bool((whole - part).abs().max() <= _SAME * whole.abs().max().clamp(min=1))


def _round_up(number: int, multiple_of: int) -> int:
    return -(-number // multiple_of) * multiple_of
