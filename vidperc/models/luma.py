"""The networks of our own: they sharpen luma, and the colour beside it is enlarged as it is.

Eyes and codecs carry detail in luma, and most video keeps colour at half its size anyway. A network for one channel
spends all its parameters where they are seen, and a video frame needs no RGB around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vidperc.models.folded import TrainableConvs, begin_near_identity, convolve_all, fuses
from vidperc.ops.tiles import Span, cut

Layer = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class LumaShape:
    """The shape of a luma network: `depth` 3x3 convolutions of `channels` between the first and the last one.

    scale: output side over input side.
    """

    scale: int
    channels: int
    depth: int

    def widths(self) -> list[tuple[int, int]]:
        """Input and output channels of every convolution."""
        c = self.channels
        return [(1, c), *[(c, c)] * self.depth, (c, self.scale * self.scale)]

    @property
    def parameters(self) -> int:
        """How many numbers the network has when it runs."""
        return sum(9 * i * o + o for i, o in self.widths())

    @property
    def reach(self) -> int:
        """How many input pixels away an output pixel still looks."""
        return self.depth + 2


class RunningLuma:
    """A luma network that is ready to run.

    weights: as `TrainableLuma.folded` gives them. precision: what the layers compute in.
    """

    def __init__(
        self, shape: LumaShape, weights: Mapping[str, Tensor], *, precision: torch.dtype, device: torch.device
    ) -> None:
        self.shape = shape
        self._precision = precision
        self._layers = packed_layers(weights, precision=precision, device=device)

    def add_to(self, enlarged: Tensor, luma: Tensor, *, tile: int) -> None:
        """Adds what bicubic lacks to `enlarged`, (1,1,h*s,w*s) float32, the bicubic of `luma`, (1,1,h,w) float32.

        tile: side of the square tiles, in pixels of luma, 0 for the whole frame. They overlap by the network's reach
        and give the bits of the whole frame on a CPU.
        """
        height, width = luma.shape[-2:]
        scale = self.shape.scale
        # An output pixel is one of s x s in the cell of its input pixel.
        cells = enlarged.view(height, scale, width, scale)
        centred = (luma - 0.5).to(self._precision)
        for row, column, made in through_layers(self._layers, centred, tile=tile, reach=self.shape.reach):
            details = made.view(scale, scale, *made.shape[2:])  # (s, s, high, wide)
            target = cells[row.keep_start : row.keep_stop, :, column.keep_start : column.keep_stop, :]
            target.add_(details.permute(2, 0, 3, 1))  # (high, s, wide, s), in float32


def packed_layers(
    weights: Mapping[str, Tensor], *, precision: torch.dtype, device: torch.device, straight: int | None = None
) -> list[Layer]:
    """Convolutions ready to run one after the other, each with its ReLU but for the last one and the straight one.

    weights: `N.weight` and `N.bias` of the N-th. straight: the place of one more without a ReLU.
    """
    layers: list[Layer] = []
    last = len(weights) // 2 - 1
    for place in range(last + 1):
        weight, bias = (weights[f"{place}.{kind}"].to(device, precision) for kind in ("weight", "bias"))
        layers.append(_layer(weight, bias, relu=place not in (straight, last)))
    return layers


def through_layers(
    layers: Sequence[Layer], planes: Tensor, *, tile: int, reach: int
) -> Iterator[tuple[Span, Span, Tensor]]:
    """What the layers make of planes (1,C,h,w), tile by tile: its rows, its columns, and what is kept of it.

    tile: side of the square tiles, 0 for the whole frame. reach: of the layers, by which tiles overlap.
    """
    height, width = planes.shape[-2:]
    for row in cut(height, tile=tile or height, overlap=reach):
        for column in cut(width, tile=tile or width, overlap=reach):
            x = planes[..., row.read_start : row.read_stop, column.read_start : column.read_stop]
            for layer in layers:
                x = layer(x)
            top, left = row.keep_start - row.read_start, column.keep_start - column.read_start
            high, wide = row.keep_stop - row.keep_start, column.keep_stop - column.keep_start
            yield row, column, x[..., top : top + high, left : left + wide]


def _layer(weight: Tensor, bias: Tensor, *, relu: bool) -> Layer:
    """A 3x3 convolution with zero padding, and its ReLU."""
    if fuses(weight):
        # The kernel is packed once, for a picture of any size, and the ReLU costs no pass of its own; both together
        # take a third of the time of what torch does by itself.
        weight = weight.contiguous(memory_format=torch.channels_last)
        nominal = [1, weight.shape[1], 64, 64]
        packed = torch.ops.mkldnn._reorder_convolution_weight(weight, [1, 1], [1, 1], [1, 1], 1, nominal)
        run = torch.ops.mkldnn._convolution_pointwise
        activation = "relu" if relu else "none"

        def packed_layer(x: Tensor) -> Tensor:
            x = x.contiguous(memory_format=torch.channels_last)
            return run(x, packed, bias, [1, 1], [1, 1], [1, 1], 1, activation, [], "")

        return packed_layer
    weight = weight.contiguous(memory_format=torch.channels_last)

    def layer(x: Tensor) -> Tensor:
        x = F.conv2d(x.contiguous(memory_format=torch.channels_last), weight, bias, padding=1)
        return x.relu_() if relu else x

    return layer


class TrainableLuma(TrainableConvs):
    """A luma network as it is trained: (N,1,h,w) luma in [0,1] to the (N,s*s,h,w) that bicubic lacks.

    Computes in bfloat16 where that is quick, with float32 weights.
    """

    def __init__(self, shape: LumaShape, *, expand: int) -> None:
        super().__init__(shape.widths(), expand=expand)
        self.shape = shape
        begin_near_identity(self.convolutions())

    def forward(self, luma: Tensor) -> Tensor:
        """What bicubic lacks, (N,s*s,h,w) float32, of luma (N,1,h,w) float32."""
        return convolve_all(luma - 0.5, self.kernels())
