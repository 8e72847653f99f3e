"""Convolutions of our own networks as they train: each kernel a sum of branches, folded into one before it convolves.

Source: the over-parameterised convolution after X. Zhang et al., "Edge-oriented Convolution Block for Real-time Super
Resolution on Mobile Devices", 2021; folding its branches into one kernel before convolving, so that training costs
what running does, after K. Bhardwaj et al., "Collapsible Linear Blocks for Super-Efficient Super Resolution", 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidperc.models.precision import training_precision

# A 3x3 kernel (outputs,inputs,3,3) and its bias (outputs,).
Kernel = tuple[Tensor, Tensor]

# A ReLU in all but name. The backward pass of torch's own takes eight times as long in bfloat16 on a CPU.
_NEVER_REACHED = 1e30


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
        if fuses(x):
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


def fuses(tensor: Tensor) -> bool:
    """oneDNN convolves numbers of this type here; the short ones need instructions that not every processor has."""
    if tensor.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if tensor.dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if tensor.dtype == torch.float16:
        return torch.ops.mkldnn._is_mkldnn_fp16_supported()
    return tensor.dtype == torch.float32
