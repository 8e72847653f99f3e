"""The networks of our own: they sharpen luma, and the colour beside it is enlarged as it is.

Eyes and codecs carry detail in luma, and most video keeps colour at half its size anyway. A network for one channel
spends all its parameters where they are seen, and a video frame needs no RGB around it.

Source: the over-parameterised convolution after X. Zhang et al., "Edge-oriented Convolution Block for Real-time Super
Resolution on Mobile Devices", 2021; folding its branches into one kernel before convolving, so that training costs
what running does, after K. Bhardwaj et al., "Collapsible Linear Blocks for Super-Efficient Super Resolution", 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidperc.models.precision import training_precision
from vidperc.ops.tiles import Span, cut

Layer = Callable[[Tensor], Tensor]

# A 3x3 kernel (outputs,inputs,3,3) and its bias (outputs,).
Kernel = tuple[Tensor, Tensor]

# A ReLU in all but name. The backward pass of torch's own takes eight times as long in bfloat16 on a CPU.
_NEVER_REACHED = 1e30


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
    if _fuses(weight):
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


def _fuses(tensor: Tensor) -> bool:
    """oneDNN convolves numbers of this type here; the short ones need instructions that not every processor has."""
    if tensor.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if tensor.dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if tensor.dtype == torch.float16:
        return torch.ops.mkldnn._is_mkldnn_fp16_supported()
    return tensor.dtype == torch.float32


class FoldedConv(nn.Module):
    """A 3x3 convolution whose kernel is, while it trains, the sum of parallel linear branches.

    expand: width of the branch of two convolutions, as a multiple of the channels; 0 for a plain kernel.
    """

    masks: Tensor

    def __init__(self, inputs: int, outputs: int, expand: int) -> None:
        super().__init__()
        self.expand = expand
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.kaiming_normal_(self.weight)
        if expand:
            width = expand * max(inputs, outputs)
            self.wide = nn.Parameter(torch.empty(width, inputs, 3, 3))
            self.narrow = nn.Parameter(torch.empty(outputs, width))
            self.edges = nn.Parameter(torch.zeros(3, outputs, inputs))
            nn.init.kaiming_normal_(self.wide)
            nn.init.normal_(self.narrow, std=(0.1 / width) ** 0.5)
            sobel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]) / 4
            laplacian = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]) / 4
            self.register_buffer("masks", torch.stack([sobel, sobel.T, laplacian]), persistent=False)

    def kernel(self) -> Tensor:
        """The kernel that the branches make together, (outputs, inputs, 3, 3)."""
        if not self.expand:
            return self.weight
        kernel = self.weight + (self.narrow @ self.wide.flatten(1)).view_as(self.weight)
        return kernel + torch.einsum("moi,mhw->oihw", self.edges, self.masks)


class TrainableConvs(nn.Module):
    """The convolutions of a network of our own as it is trained, one after the other.

    widths: input and output channels of each. expand: as `FoldedConv` has it.
    """

    def __init__(self, widths: Sequence[tuple[int, int]], *, expand: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(FoldedConv(i, o, expand) for i, o in widths)

    def convolutions(self) -> list[FoldedConv]:
        """The convolutions, in the order in which they run."""
        return [layer for layer in self.layers if isinstance(layer, FoldedConv)]

    def kernels(self) -> list[Kernel]:
        """Their kernels, branches added up, and biases."""
        return [(layer.kernel(), layer.bias) for layer in self.convolutions()]

    @torch.no_grad()
    def folded(self) -> dict[str, Tensor]:
        """The weights of the network as it runs, float32: `N.weight` (o,i,3,3) and `N.bias` (o,) of its N-th layer."""
        tensors: dict[str, Tensor] = {}
        for place, (kernel, bias) in enumerate(self.kernels()):
            tensors[f"{place}.weight"] = kernel.detach().clone(memory_format=torch.contiguous_format)
            tensors[f"{place}.bias"] = bias.detach().clone()
        return tensors


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


@torch.no_grad()
def begin_near_identity(layers: Sequence[FoldedConv]) -> None:
    """What convolutions between the first and the last one begin with, as residual blocks would; the last is small."""
    _, *body, last = layers
    for layer in body:
        layer.weight.mul_(0.3)
        layer.weight[:, :, 1, 1] += torch.eye(*layer.weight.shape[:2])
    last.weight.mul_(0.1)


def convolve_all(x: Tensor, kernels: Sequence[Kernel]) -> Tensor:
    """Convolutions one after the other, each with its ReLU but for the last one, as float32, and their gradients."""
    x = x.to(training_precision(x.device))
    *body, last = kernels
    for kernel, bias in body:
        x = convolve_relu(x, kernel, bias)
    return convolve(x, *last)


def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """conv3x3(x) with zero padding, in the type of x, as float32, and its gradients."""
    x, weight = (part.contiguous(memory_format=torch.channels_last) for part in (x, weight.to(x.dtype)))
    return F.conv2d(x, weight, bias.to(x.dtype), padding=1).float()


def convolve_relu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """relu(conv3x3(x)) with zero padding, in the type of x, and its gradients."""
    return _ConvolveRelu.apply(x.contiguous(memory_format=torch.channels_last), weight, bias)


class _ConvolveRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # pyright: ignore
        weight = weight.to(x.dtype).contiguous(memory_format=torch.channels_last)
        bias = bias.to(x.dtype)
        if _fuses(x):
            # One pass over memory instead of two: a fifth of a training step.
            y = torch.ops.mkldnn._convolution_pointwise(x, weight, bias, [1, 1], [1, 1], [1, 1], 1, "relu", [], "")
        else:
            y = F.conv2d(x, weight, bias, padding=1).relu_()
        ctx.save_for_backward(x, weight, y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # pyright: ignore
        x, weight, y = ctx.saved_tensors
        gradient = torch.ops.aten.hardtanh_backward(gradient, y, 0.0, _NEVER_REACHED)
        of_x, of_weight, of_bias = torch.ops.aten.convolution_backward(
            gradient, x, weight, [weight.shape[0]], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, True, True]
        )
        return of_x, of_weight.float(), of_bias.float()
