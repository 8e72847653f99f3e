"""Recurrent networks as they learn, over clips; what they are, and how they run, is in `models.recurrent`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from vidperc.errors import VidpercError
from vidperc.models.folded import FoldedConv, TrainableConvs, begin_near_identity, convolve, convolve_relu
from vidperc.models.luma import LumaShape
from vidperc.models.precision import training_precision
from vidperc.models.recurrent import Before, RecurrentShape, carried, looked_back, next_memory, seen, shown_details
from vidperc.ops.resize import resize

# So little of the memory is shown at first that a network which begins as an image network gives nearly its picture.
_SHOW_LITTLE = -3.0


class TrainableRecurrent(TrainableConvs):
    """A recurrent network as it is trained, over clips.

    Computes in bfloat16 where that is quick, with float32 weights; the picture stays float32.
    """

    def __init__(self, shape: RecurrentShape, *, expand: int) -> None:
        super().__init__(shape.widths(), expand=expand)
        self.shape = shape
        layers = self.of_image_network()
        begin_near_identity(layers)
        with torch.no_grad():
            layers[-1].bias[-1] = _SHOW_LITTLE

    def of_image_network(self) -> list[FoldedConv]:
        """Those that an image network has as well, all but the one that answers for the memory."""
        layers = self.convolutions()
        return [*layers[: self.shape.middle], *layers[self.shape.middle + 1 :]]

    def forward(self, luma: Tensor, flow: Tensor, visible: Tensor, *, ahead: int = 0) -> Tensor:
        """What bicubic lacks, (N,T-ahead,s*s,h,w) float32, of luma (N,T,1,h,w) float32 in [0,1].

        flow: (N,T,2,h,w), visible: (N,T,1,h,w), float32, as `vidperc.clip.Motion` has them, each clip one shot or
        invisible where a new one begins. Gradients go back through all frames, along the memory; never into the flow.
        ahead: so many of the first frames are run through, without results or gradients.
        """
        flow, visible = flow.detach().nan_to_num(0, 0, 0), visible.detach()
        before: Before | None = None
        if ahead:
            with torch.no_grad():
                _, before = self._run(luma[:, :ahead], flow[:, :ahead], visible[:, :ahead], None)
        return self._run(luma[:, ahead:], flow[:, ahead:], visible[:, ahead:], before)[0]

    def _run(self, luma: Tensor, flow: Tensor, visible: Tensor, before: Before | None) -> tuple[Tensor, Before]:
        """The details of clips that go on from `before`, and what they leave.

        No layer before the memory sees it, and those after it give nothing to it: all frames at once pass each of them.
        """
        count, frames, _, height, width = luma.shape
        scale, state = self.shape.scale, self.shape.state
        flat = luma.flatten(0, 1)
        base = resize(flat, (height * scale, width * scale), "bicubic")
        bases = base.view(count, frames, *base.shape[1:])  # (N, T, 1, H, W)
        if before is None:
            before = Before(luma[:, 0], bases[:, 0], luma.new_zeros((count, state, height, width)))
            visible = torch.cat([torch.zeros_like(visible[:, :1]), visible[:, 1:]], dim=1)
        past = torch.cat([before.luma[:, None], luma[:, :-1]], dim=1).flatten(0, 1)
        difference, there = looked_back(flat, flow.flatten(0, 1), visible.flatten(0, 1), past)
        visible = there.view_as(visible)
        kernels, middle = self.kernels(), self.shape.middle
        x = torch.cat([flat - 0.5, difference, there], dim=1).to(training_precision(luma.device))
        for kernel, bias in kernels[:middle]:
            x = convolve_relu(x, kernel, bias)
        answers = convolve(x, *kernels[middle]).view(count, frames, -1, height, width)
        memories: list[Tensor] = []
        for t in range(frames):
            memories.append(carried(bases[:, t], flow[:, t], before))
            kept = next_memory(memories[-1], answers[:, t], visible[:, t], scale * scale)
            picture = bases[:, t] + F.pixel_shuffle(kept[:, : scale * scale], scale)
            before = Before(luma[:, t], picture, kept[:, scale * scale :])
        memory = torch.stack(memories, dim=1).flatten(0, 1)  # (N*T, remembered, h, w)
        x = torch.cat([x, seen(memory, there, state).to(x.dtype)], dim=1)
        for kernel, bias in kernels[middle + 1 : -1]:
            x = convolve_relu(x, kernel, bias)
        details = shown_details(memory, convolve(x, *kernels[-1]), there)
        return details.view(count, frames, *details.shape[1:]), before


@torch.no_grad()
def begin_with_image_network(network: TrainableRecurrent, weights: Mapping[str, Tensor]) -> None:
    """Make a recurrent network give what an image network of equal scale, channels and depth gives, all but.

    weights: of the image network, as `TrainableLuma.folded` gives them. What the recurrent network sees besides luma
    has no weight at first, and little of the memory is shown; what it keeps in it is random, so that there is something
    to take from it. A first frame is that of the image network.
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
    for place, layer in enumerate(network.of_image_network()):
        kernel, bias = weights[f"{place}.weight"], weights[f"{place}.bias"]
        if layer.expand:
            # The branch of two convolutions must add exactly nothing; it learns again through its narrow one.
            layer.narrow.zero_()
            layer.edges.zero_()
        outputs, inputs = kernel.shape[:2]
        layer.weight.zero_()
        layer.weight[:outputs, :inputs] = kernel
        layer.bias[:outputs] = bias
