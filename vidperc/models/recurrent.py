"""Recurrent networks of our own: luma networks that remember, along the motion, what they saw of the frames before.

A detail that one frame shows badly, another has shown well. So part-way through its layers a network keeps a memory, a
picture of the output's size and a small hidden state: running means over the frames, carried along the motion that the
pipeline has found. At every pixel it says what is new and how much of the old to keep, nothing where the frame before
does not show the same surface: at cuts, and behind what moves away. Motion that missed that shows in the frames
themselves: where the one before, moved, differs from this one, nothing is kept either. The layers behind see the memory
beside the features, and the result is mixed with it, as much as the last layer asks for.

What is new and how much is kept depend on the frames alone, never on the memory, and at most KEPT_AT_MOST is kept. Two
runs that began differently therefore draw together by that factor at each frame, whatever the weights are, but for what
a bicubic warp overshoots: networks that see their own output through their layers, as Sajjadi's does, can latch and
never forget.

Source: M. Sajjadi, R. Vemulapalli, M. Brown, "Frame-Recurrent Video Super-Resolution", 2018 (a picture, warped); the
hidden state beside it after D. Fuoli, S. Gu, R. Timofte, "Efficient Video Super-Resolution through Recurrent Latent
Space Propagation", 2019; gates that see the input alone after J. Bradbury et al., "Quasi-Recurrent Neural Networks",
2017; why recurrence must contract: B. Chiche et al., "Stable Long-Term Recurrent Video Super-Resolution", 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vidperc.models.luma import LumaShape, packed_layers, through_layers
from vidperc.ops.flow_size import resize_flow, resize_mask
from vidperc.ops.warp import warp

# Of the memory a pixel keeps this share at most: of the whole range half a code of 8 bits is left after 28 frames.
KEPT_AT_MOST = 0.8

# Frames that differ by more where motion leads show different things: what it missed would else stay as a ghost. Around
# a pixel, because noise differs from pixel to pixel.
_SAME, _AROUND = 0.08, 3
_NONE = 1e-6  # stands for no pixel that is visible, by which nothing can be divided

# What the picture has beyond bicubic is some hundredths; with this it is as large as the features beside it.
_GAIN = 4.0

# Over 6, 7 or 11 to 15 channels in bfloat16, oneDNN adds in an order that depends on the size of the picture, and tiles
# would not give the bits of the whole frame.
_LEAST_CHANNELS = 16

# Channels of what it sees of a frame: luma, how the frame before differs where that shows the same, and where it does.
_INPUTS = 3


@dataclass(frozen=True, kw_only=True)
class RecurrentShape(LumaShape):
    """The shape of a recurrent network: that of a luma network, with one layer more among them.

    state: channels of the hidden state, at the size of the input.
    The layer at `middle` answers, from features, for the memory; the one after it sees the memory beside the features.
    The last one gives the details, and how much of the memory's picture is shown in their place.
    """

    state: int

    @property
    def middle(self) -> int:
        """The place of the layer that answers for the memory."""
        return max(1, 3 * self.depth // 4)

    @property
    def reach(self) -> int:
        """How many input pixels away an output pixel still looks."""
        return self.depth + 3

    @property
    def remembered(self) -> int:
        """Channels of the memory: the details of its picture, in cells of the input's size, and the hidden state."""
        return self.scale * self.scale + self.state

    def widths(self) -> list[tuple[int, int]]:
        """Input and output channels of every convolution, in the order in which they run."""
        c, first = self.channels, self.middle - 1
        # Of the memory what is new, and how much is kept: of the picture's cells alike, of each channel of the state.
        answers = c, self.remembered + 1 + self.state
        last = c, self.scale * self.scale + 1
        second = [(c, c)] * (self.depth - first) + [last]
        second[0] = c + self.remembered, second[0][1]
        return [(_INPUTS, c), *[(c, c)] * first, answers, *second]


@dataclass(frozen=True)
class Before:
    """What a frame leaves to the one after it.

    luma: (N,1,h,w) float32, of the frame. picture: (N,1,H,W) float32, the memory's. hidden: (N,state,h,w) float32, from
    -1 to 1.
    """

    luma: Tensor
    picture: Tensor
    hidden: Tensor


def carried(base: Tensor, flow: Tensor, before: Before) -> Tensor:
    """The memory where it is in this frame, (N,remembered,h,w) float32.

    base: (N,1,H,W) float32, the frame by bicubic, which the picture's details lie above. flow: (N,2,h,w) float32, as
    `vidperc.clip.Motion` has it, but of numbers alone.
    """
    large = _size(base)
    # Bicubic, because a picture passes here once for every frame that it stays, and bilinear would wear it off.
    picture = warp(before.picture, resize_flow(flow, large), mode="bicubic")
    details = F.pixel_unshuffle(picture - base, large[0] // flow.shape[2])
    return torch.cat([details, warp(before.hidden, flow)], dim=1)


def looked_back(luma: Tensor, flow: Tensor, visible: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """How the frame before, moved, differs where it shows the same surface, and where it does, 0 to 1; both (N,1,h,w).

    Motion says where, as well as it knows; and the frames have to agree around a pixel, as far as there is visible.
    """
    difference = (warp(before, flow, mode="bicubic") - luma) * visible
    around, seen = (F.avg_pool2d(part, _AROUND, 1, _AROUND // 2) for part in (difference.abs(), visible))
    there = visible * (2 - around / (_SAME * seen).clamp(min=_NONE)).clamp(0, 1)
    return difference * there, there


def _size(planes: Tensor) -> tuple[int, int]:
    return planes.shape[-2], planes.shape[-1]


def next_memory(memory: Tensor, answers: Tensor, there: Tensor, cells: int) -> Tensor:
    """The memory after a frame, of the one carried to it and what the layer in the middle answers, float32.

    cells: channels of the picture's details.
    """
    channels = memory.shape[1]
    new = torch.cat([answers[:, :cells], F.hardtanh(answers[:, cells:channels])], dim=1)
    asked = answers[:, channels:]
    picture, state = _share(asked[:, :1]).expand(-1, cells, -1, -1), _share(asked[:, 1:])
    kept = torch.cat([picture, state], dim=1) * (there * KEPT_AT_MOST)
    return new + (memory - new) * kept


def shown_details(memory: Tensor, answers: Tensor, there: Tensor) -> Tensor:
    """The details that are shown, (N,s*s,h,w), of the memory carried to a frame and what the last layer answers."""
    cells = answers.shape[1] - 1
    new, asked = answers[:, :cells], answers[:, cells:]
    return new + (memory[:, :cells] - new) * (_share(asked) * there)


def _share(asked: Tensor) -> Tensor:
    """Any number as one from 0 to 1, in basic arithmetic alone.

    Exponentials differ by a bit between places of a tensor, and so between tiles.
    """
    return (asked / (asked * asked + 1).sqrt() + 1) * 0.5


class RunningRecurrent:
    """A recurrent network that is ready to run.

    weights: as `TrainableRecurrent.folded` gives them. precision: what the layers compute in.
    """

    def __init__(
        self, shape: RecurrentShape, weights: Mapping[str, Tensor], *, precision: torch.dtype, device: torch.device
    ) -> None:
        self.shape = shape
        self._precision = precision
        middle = shape.middle
        layers = packed_layers(_widened(shape, weights), precision=precision, device=device, straight=middle)
        self._first, self._answer, self._second = layers[:middle], layers[middle], layers[middle + 1 :]

    def step(
        self, luma: Tensor, base: Tensor, flow: Tensor, visible: Tensor, before: Before | None, *, tile: int
    ) -> tuple[Tensor, Before]:
        """What bicubic lacks of a frame, (1,1,h*s,w*s) float32, and what that leaves to the next frame.

        luma: (1,1,h,w) float32 in [0,1]. base: (1,1,h*s,w*s), its bicubic. flow, visible: as `vidperc.clip.Motion` has
        them, of one frame, at any size. before: None at the first frame of a shot.
        tile: side of the square tiles, in pixels of luma, 0 for the whole frame. They overlap by the network's reach
        and give the bits of the whole frame on a CPU.
        """
        cells = self.shape.scale * self.shape.scale
        planes = luma.new_zeros((1, _INPUTS + self.shape.remembered, *_size(luma)))
        planes[:, :1] = luma - 0.5
        if before is not None:
            flow = resize_flow(flow.nan_to_num(0, 0, 0), _size(luma))  # hidden where it is NaN
            visible = resize_mask(visible, _size(luma))
            planes[:, 1:2], planes[:, 2:_INPUTS] = looked_back(luma, flow, visible, before.luma)
            planes[:, _INPUTS:] = carried(base, flow, before)
        made = luma.new_empty((1, cells + self.shape.remembered, *_size(luma)))
        for row, column, part in through_layers([self._made], planes, tile=tile, reach=self.shape.reach):
            made[..., row.keep_start : row.keep_stop, column.keep_start : column.keep_stop] = part
        details, picture = (F.pixel_shuffle(made[:, at : at + cells], self.shape.scale) for at in (0, cells))
        return details, Before(luma, base + picture, made[:, 2 * cells :].clone())  # which lets go of the rest

    def _made(self, planes: Tensor) -> Tensor:
        """The details that are shown, and the memory, of planes as `step` gathers them."""
        there, memory = planes[:, _INPUTS - 1 : _INPUTS], planes[:, _INPUTS:]
        x = self._packed(planes[:, :_INPUTS])
        for layer in self._first:
            x = layer(x)
        cells = self.shape.scale * self.shape.scale
        answers = self._answer(x).float()
        kept = next_memory(memory, answers, there, cells)
        x = self._packed(x, seen(memory, there, self.shape.state))
        for layer in self._second:
            x = layer(x)
        return torch.cat([shown_details(memory, x.float(), there), kept], dim=1)

    def _packed(self, *parts: Tensor) -> Tensor:
        """Parts (1,C,h,w) one after the other as a layer takes them, with channels of zeros where they are few."""
        channels = max(sum(part.shape[1] for part in parts), _LEAST_CHANNELS)
        size = (1, channels, *_size(parts[0]))
        # A third of the time that joining, converting and reordering one after the other take.
        packed = torch.empty(size, dtype=self._precision, device=parts[0].device, memory_format=torch.channels_last)
        at = 0
        for part in parts:
            packed[:, at : at + part.shape[1]] = part
            at += part.shape[1]
        packed[:, at:] = 0
        return packed


def seen(memory: Tensor, there: Tensor, state: int) -> Tensor:
    """The memory as layers see it, its details as large as what stands beside them, nothing where it is not there."""
    cells = memory.shape[1] - state
    return torch.cat([memory[:, :cells] * _GAIN, memory[:, cells:]], dim=1) * there


def _widened(shape: RecurrentShape, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same layers with channels of zeros, so that what they see has _LEAST_CHANNELS at least."""
    last, more = len(weights) // 2 - 1, max(0, _LEAST_CHANNELS - shape.channels)
    wide: dict[str, Tensor] = {}
    for place in range(last + 1):
        weight, bias = weights[f"{place}.weight"], weights[f"{place}.bias"]
        features = _INPUTS if place == 0 else shape.channels
        zeros = weight.new_zeros((len(weight), _LEAST_CHANNELS - _INPUTS if place == 0 else more, 3, 3))
        # The memory comes after the features, with their zeros.
        weight = torch.cat([weight[:, :features], zeros, weight[:, features:]], dim=1)
        outputs = 0 if place in (shape.middle, last) else more
        wide[f"{place}.weight"] = F.pad(weight, (0, 0, 0, 0, 0, 0, 0, outputs))
        wide[f"{place}.bias"] = F.pad(bias, (0, outputs))
    return wide
