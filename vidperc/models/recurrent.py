"""Recurrent networks of our own: luma networks that see what they made of the frame before, moved to where it is now.

A detail that one frame shows badly, another has shown well. So a frame is enlarged from itself, from the picture that
was made of the one before and from a small hidden state, both carried along the motion that the pipeline has found, and
zero where the frame before does not show the same surface: at cuts, and behind what moves away.

Source: M. Sajjadi, R. Vemulapalli, M. Brown, "Frame-Recurrent Video Super-Resolution", 2018 (the previous output,
warped and rearranged to the size of the input); the hidden state beside it after D. Fuoli, S. Gu, R. Timofte,
"Efficient Video Super-Resolution through Recurrent Latent Space Propagation", 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.models.luma import (
    FoldedConv,
    LumaShape,
    begin_near_identity,
    convolve_relu,
    folded,
    packed_layers,
    through_layers,
)
from vidperc.models.precision import training_precision
from vidperc.ops.flow_size import resize_flow, resize_mask
from vidperc.ops.resize import resize
from vidperc.ops.warp import warp

# What the output had beyond bicubic is some hundredths; with this it is as large as the luma beside it. A power of
# two, so that nothing is rounded.
_GAIN = 4.0

# What the random rows of the last layer are multiplied by, for they begin as small as those of details.
_BOLD = 30.0


# Over 6, 7 or 11 to 15 channels in bfloat16, oneDNN adds in an order that depends on the size of the picture, and tiles
# would not give the bits of the whole frame.
_LEAST_CHANNELS = 16


@dataclass(frozen=True, kw_only=True)
class RecurrentShape(LumaShape):
    """The shape of a recurrent network: that of a luma network, which sees more and gives its hidden state besides.

    state: channels of the hidden state, at the size of the input.
    """

    state: int

    @property
    def inputs(self) -> int:
        """Channels that it sees: luma, what was made of the frame before, where that is visible, the hidden state."""
        return 1 + self.scale * self.scale + 1 + self.state

    def widths(self) -> list[tuple[int, int]]:
        """Input and output channels of every convolution."""
        c = self.channels
        return [(self.inputs, c), *[(c, c)] * self.depth, (c, self.scale * self.scale + self.state)]


@dataclass(frozen=True)
class Before:
    """What a frame leaves to the one after it.

    output: (N,1,H,W) float32, the luma that was made. hidden: (N,state,h,w) float32, from -1 to 1.
    """

    output: Tensor
    hidden: Tensor


def see(luma: Tensor, base: Tensor, flow: Tensor, visible: Tensor, before: Before | None) -> tuple[Tensor, ...]:
    """What a recurrent network sees of frames: parts (N,C,h,w) float32, which are `RecurrentShape.inputs` channels.

    luma: (N,1,h,w) float32 in [0,1]. base: (N,1,h*s,w*s), its bicubic. flow, visible: as `vidperc.clip.Motion` has
    them, N frames at any size. before: None at the first frame of a shot, where all but luma is zero and left out.
    """
    centred = luma - 0.5
    if before is None:
        return (centred,)
    height, width = luma.shape[-2:]
    large = base.shape[-2], base.shape[-1]
    flow = flow.nan_to_num(0, 0, 0)  # where nothing was found; hidden there, but nothing times a NaN is one
    # Bicubic, because the detail passes here once for every frame that it stays, and bilinear would wear it off.
    output = warp(before.output, resize_flow(flow, large), mode="bicubic")
    hidden = warp(before.hidden, resize_flow(flow, (height, width)))
    there = resize_mask(visible, (height, width))
    detail = F.pixel_unshuffle(output - base, large[0] // height)  # (N, s*s, h, w)
    return centred, detail * (there * _GAIN), there, hidden * there


class RunningRecurrent:
    """A recurrent network that is ready to run.

    weights: as `TrainableRecurrent.folded` gives them. precision: what the layers compute in.
    """

    def __init__(
        self, shape: RecurrentShape, weights: Mapping[str, Tensor], *, precision: torch.dtype, device: torch.device
    ) -> None:
        self.shape = shape
        self._precision = precision
        self._layers = packed_layers(_widened(weights), precision=precision, device=device)

    def step(
        self, luma: Tensor, base: Tensor, flow: Tensor, visible: Tensor, before: Before | None, *, tile: int
    ) -> tuple[Tensor, Before]:
        """What bicubic lacks of a frame, (1,1,h*s,w*s) float32, and what that leaves to the next frame.

        luma, base, flow, visible, before: as `see` takes them, of one frame.
        tile: side of the square tiles, in pixels of luma, 0 for the whole frame. They overlap by the network's reach
        and give the bits of the whole frame on a CPU.
        """
        height, width = luma.shape[-2:]
        scale = self.shape.scale
        seen = self._packed(see(luma, base, flow, visible, before))
        details = torch.empty_like(base)
        cells = details.view(height, scale, width, scale)
        hidden = luma.new_empty((1, self.shape.state, height, width))
        for row, column, made in through_layers(self._layers, seen, tile=tile, reach=self.shape.reach):
            rows, columns = slice(row.keep_start, row.keep_stop), slice(column.keep_start, column.keep_stop)
            enlarged = made[0, : scale * scale].view(scale, scale, *made.shape[2:])  # (s, s, high, wide)
            cells[rows, :, columns, :] = enlarged.permute(2, 0, 3, 1)
            hidden[..., rows, columns] = made[:, scale * scale :]
        return details, Before(base + details, hidden.clamp_(-1, 1))

    def _packed(self, parts: Sequence[Tensor]) -> Tensor:
        """Parts (1,C,h,w) as the first layer takes them, with zeros for what is missing, (1,inputs,h,w)."""
        channels = max(self.shape.inputs, _LEAST_CHANNELS)
        size = (1, channels, *parts[0].shape[-2:])
        # A third of the time that joining, converting and reordering one after the other take.
        seen = torch.empty(size, dtype=self._precision, device=parts[0].device, memory_format=torch.channels_last)
        at = 0
        for part in parts:
            seen[:, at : at + part.shape[1]] = part.to(self._precision)
            at += part.shape[1]
        seen[:, at:] = 0
        return seen


def _widened(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same layers with channels of zeros, so that all but the last one's outputs are _LEAST_CHANNELS at least."""
    last = len(weights) // 2 - 1
    wide: dict[str, Tensor] = {}
    for place in range(last + 1):
        weight, bias = weights[f"{place}.weight"], weights[f"{place}.bias"]
        outputs, inputs = (max(0, _LEAST_CHANNELS - channels) for channels in weight.shape[:2])
        outputs = 0 if place == last else outputs
        wide[f"{place}.weight"] = F.pad(weight, (0, 0, 0, 0, 0, inputs, 0, outputs))
        wide[f"{place}.bias"] = F.pad(bias, (0, outputs))
    return wide


class TrainableRecurrent(nn.Module):
    """A recurrent network as it is trained, over clips.

    Computes in bfloat16 where that is quick, with float32 weights; the picture stays float32.
    """

    def __init__(self, shape: RecurrentShape, *, expand: int) -> None:
        super().__init__()
        self.shape = shape
        self.layers = nn.ModuleList(FoldedConv(i, o, expand) for i, o in shape.widths())
        begin_near_identity(self.convolutions())

    def convolutions(self) -> list[FoldedConv]:
        """The convolutions from the first to the last."""
        return [layer for layer in self.layers if isinstance(layer, FoldedConv)]

    def forward(self, luma: Tensor, flow: Tensor, visible: Tensor, *, ahead: int = 0) -> Tensor:
        """What bicubic lacks, (N,T-ahead,s*s,h,w) float32, of luma (N,T,1,h,w) float32 in [0,1].

        flow: (N,T,2,h,w), visible: (N,T,1,h,w), float32, as `vidperc.clip.Motion` has them, each clip one shot or
        invisible where a new one begins. Gradients go back through all frames, along what was made and the hidden
        state; never into the flow. ahead: so many of the first frames are run through, without results or gradients.
        """
        count, frames, _, height, width = luma.shape
        scale = self.shape.scale
        flow, visible = flow.detach(), visible.detach()
        base = resize(luma.flatten(0, 1), (height * scale, width * scale), "bicubic")
        base = base.view(count, frames, *base.shape[1:])  # (N, T, 1, H, W)
        *body, last = [(layer.kernel(), layer.bias) for layer in self.convolutions()]
        before: Before | None = None
        made: list[Tensor] = []
        for t in range(frames):
            with torch.set_grad_enabled(torch.is_grad_enabled() and t >= ahead):
                x = torch.cat(see(luma[:, t], base[:, t], flow[:, t], visible[:, t], before), dim=1)
                x = F.pad(x, (0, 0, 0, 0, 0, self.shape.inputs - x.shape[1]))
                x = x.to(training_precision(x.device)).contiguous(memory_format=torch.channels_last)
                for kernel, bias in body:
                    x = convolve_relu(x, kernel, bias)
                kernel, bias = last
                kernel = kernel.to(x.dtype).contiguous(memory_format=torch.channels_last)
                x = F.conv2d(x, kernel, bias.to(x.dtype), padding=1)
                details = x[:, : scale * scale].float()
                made.append(details)
                hidden = F.hardtanh(x[:, scale * scale :].float())
                before = Before(base[:, t] + F.pixel_shuffle(details, scale), hidden)
        return torch.stack(made[ahead:], dim=1)

    def folded(self) -> dict[str, Tensor]:
        """The weights of the network as it runs, float32: `N.weight` (o,i,3,3) and `N.bias` (o,) of its N-th layer."""
        return folded(self.convolutions())


@torch.no_grad()
def begin_with_image_network(network: TrainableRecurrent, weights: Mapping[str, Tensor]) -> None:
    """Make a recurrent network give just what an image network of equal scale, channels and depth gives.

    weights: of the image network, as `TrainableLuma.folded` gives them. What the recurrent network sees besides luma
    has no weight at first; what it keeps in its hidden state is random, so that there is something to take from it.
    Raises VidpercError for weights of another shape.
    """
    shape = network.shape
    image = LumaShape(scale=shape.scale, channels=shape.channels, depth=shape.depth)
    wanted = {f"{place}.weight": (o, i, 3, 3) for place, (i, o) in enumerate(image.widths())}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items() if name.endswith(".weight")}
    if found != wanted:
        raise VidpercError(
            "a recurrent network begins with an image network of its own shape: wanted a luma network of scale "
            f"{shape.scale}, {shape.channels} channels and depth {shape.depth}; train that one first, or name another"
        )
    layers = network.convolutions()
    for place, layer in enumerate(layers):
        kernel, bias = weights[f"{place}.weight"], weights[f"{place}.bias"]
        if layer.expand:
            # The branch of two convolutions must add exactly nothing; it learns again through its narrow one.
            layer.narrow.zero_()
            layer.edges.zero_()
        if place == 0:
            layer.weight.zero_()
        outputs, inputs = kernel.shape[:2]
        # As large in the hidden state as what stands beside it.
        layer.weight[outputs:] *= _BOLD
        layer.weight[:outputs, :inputs] = kernel
        layer.bias[:outputs] = bias
