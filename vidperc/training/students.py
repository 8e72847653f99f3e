"""The networks that can be trained, each kind as it is: what they make of clips, where they begin, what is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.models.between import mixed
from vidperc.models.folded import FoldedConv
from vidperc.models.luma import LumaShape, TrainableLuma
from vidperc.models.own_card import LUMA, RECURRENT
from vidperc.models.precision import fast_precision
from vidperc.models.recurrent import RecurrentShape
from vidperc.models.settle import measure_settle
from vidperc.models.trainable_recurrent import TrainableRecurrent, begin_with_image_network
from vidperc.models.weights import LumaNetwork, Network, read_network
from vidperc.ops.color import rgb_luma
from vidperc.ops.resize import resize
from vidperc.training.checkpoint import replace_safetensors
from vidperc.training.clip_batch import ClipBatch

# Networks of our own: luma alone, and what bicubic lacks of it.
OwnNetwork = TrainableLuma | TrainableRecurrent


class Community(nn.Module):
    """A network out of a file, of any architecture that spandrel knows, as one that learns.

    Layers that behave differently in training (dropout, batch statistics) stay as they are when it runs.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.source = network.copy()
        self.layers = self.source.layers.requires_grad_(True)
        self.scale = network.card.scale
        # Trained in what it runs in on this machine, where its architecture allows that.
        self._low = network.card.bfloat16_safe and fast_precision("cpu") == "bfloat16"

    def forward(self, frames: Tensor) -> Tensor:
        """RGB (N,3,h,w) to (N,3,h*s,w*s), float32."""
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=self._low):
            return self.source(frames).float()


def is_own(network: nn.Module) -> TypeGuard[OwnNetwork]:
    """Whether it is a network of our own, which makes luma alone."""
    return isinstance(network, TrainableLuma | TrainableRecurrent)


def build(shape: LumaShape | RecurrentShape, *, expand: int) -> OwnNetwork:
    """A network of our own with random weights."""
    if isinstance(shape, RecurrentShape):
        return TrainableRecurrent(shape, expand=expand)
    return TrainableLuma(shape, expand=expand)


def open_student(path: Path, *, expand: int) -> OwnNetwork | Community:
    """The network in a file of weights, of any kind, ready to learn on. Raises VidpercError as `read_network` does."""
    read = read_network(path)
    if isinstance(read, Network):
        return Community(read)
    network = build(read.shape, expand=expand)
    begin_with(network, path)
    return network


def scale_of(network: nn.Module) -> int:
    """Output side over input side."""
    if is_own(network):
        return network.shape.scale
    assert isinstance(network, Community)
    return network.scale


def luma_details(network: OwnNetwork, batch: ClipBatch) -> Tensor:
    """What a network of our own adds to bicubic, (N,T,s*s,h,w), of the frames of a batch that are learnt from."""
    if isinstance(network, TrainableRecurrent):
        return network(rgb_luma(batch.small), batch.flow, batch.visible, ahead=batch.ahead)
    luma = rgb_luma(batch.learnt().small)  # (N, T, 1, h, w)
    count, frames = luma.shape[:2]
    made: Tensor = network(luma.flatten(0, 1))
    return made.reshape(count, frames, *made.shape[1:])


def enlarged(network: nn.Module, batch: ClipBatch) -> Tensor:
    """The frames of a batch that are learnt from, as a network makes them, (N,T,3,h*s,w*s) float32 RGB, not clamped.

    Networks of our own add their details to all three channels alike, as they do when they run on RGB video.
    """
    small = batch.learnt().small
    count, frames = small.shape[:2]
    small = small.flatten(0, 1)  # (N*T, 3, h, w)
    if not is_own(network):
        made: Tensor = network(small)
        return made.reshape(count, frames, *made.shape[1:])
    scale = network.shape.scale
    base = resize(small, (small.shape[-2] * scale, small.shape[-1] * scale), "bicubic")
    details = F.pixel_shuffle(luma_details(network, batch).flatten(0, 1), scale)
    made = base + details
    return made.reshape(count, frames, *made.shape[1:])


def last_layer(network: nn.Module) -> Tensor:
    """The weights of the layer that makes the picture, which adaptive terms ask for."""
    if is_own(network):
        return network.convolutions()[-1].weight
    return [value for value in network.parameters() if value.ndim == 4][-1]


def begin_with(network: OwnNetwork, path: Path) -> int:
    """Take over the layers of a trained network, all but those of another shape; returns how many.

    A recurrent network that begins with an image network of its own shape gives just the picture that one gives.
    Raises VidpercError when the file holds no luma network, or none of its layers fits.
    """
    trained = read_network(path)
    if isinstance(trained, Network):
        raise VidpercError(f"{path}: holds no network of ours, wanted one that `vidperc train` made; check start_from")
    if isinstance(network, TrainableRecurrent) and isinstance(trained, LumaNetwork):
        begin_with_image_network(network, trained.weights)
        return len(network.convolutions())
    taken = 0
    for place, layer in enumerate(network.convolutions()):
        kernel = trained.weights.get(f"{place}.weight")
        if kernel is not None and kernel.shape == layer.weight.shape:
            _set(layer, kernel, trained.weights[f"{place}.bias"])
            taken += 1
    if not taken:
        raise VidpercError(f"{path}: none of its layers has a shape of the recipe's network; check start_from")
    return taken


@torch.no_grad()
def go_back(network: nn.Module, path: Path, *, share_learnt: float) -> None:
    """Move a network back towards the one in a file, of the same shape, that it began with.

    share_learnt: how much of the way from there it keeps. Kernels are mixed as they run, their branches added up.
    Raises VidpercError when the file holds a network of another shape.
    """
    start = read_network(path)
    if isinstance(start, Network) and isinstance(network, Community):
        theirs = start.layers.state_dict()
        for name, value in network.layers.state_dict().items():
            if value.is_floating_point():
                value.copy_(mixed(theirs[name], value, share_learnt))
        return
    if isinstance(start, Network) or not is_own(network) or start.shape != network.shape:
        raise VidpercError(f"{path}: has not the shape of the recipe's network; leave share_learnt out")
    for place, layer in enumerate(network.convolutions()):
        kernel, bias = (start.weights[f"{place}.{kind}"] for kind in ("weight", "bias"))
        learnt = layer.kernel().detach(), layer.bias.detach()
        _set(layer, mixed(kernel, learnt[0], share_learnt), mixed(bias, learnt[1], share_learnt))


@torch.no_grad()
def _set(layer: FoldedConv, kernel: Tensor, bias: Tensor) -> None:
    layer.weight.add_(kernel - layer.kernel())
    layer.bias.copy_(bias)


def write_student(network: nn.Module, path: Path, facts: Mapping[str, str]) -> None:
    """Write a network to a safetensors file that `-m FILE` takes, with facts for its card.

    Half precision halves the file, and rounds finer than the bfloat16 it is mostly run in.
    Raises VidpercError when the file cannot be written.
    """
    if not is_own(network):
        assert isinstance(network, Community)
        tensors = {name: value.detach() for name, value in network.layers.state_dict().items()}
        halves = network.source.card.half_safe
        weights = {name: _stored(value, half=halves) for name, value in tensors.items()}
        replace_safetensors(path, weights, dict(facts))
        return
    shape = network.shape
    own = {
        "architecture": LUMA,
        "scale": shape.scale,
        "parameters": shape.parameters,
        "channels": shape.channels,
        "reach": shape.reach,
    }
    folded = network.folded()
    weights = {name: tensor.half() for name, tensor in folded.items()}
    if isinstance(shape, RecurrentShape):
        settle = measure_settle(shape, {name: tensor.float() for name, tensor in weights.items()})
        own |= {"architecture": RECURRENT, "state": shape.state, "settle": settle}
    replace_safetensors(path, weights, {**facts, **{name: str(value) for name, value in own.items()}})


def _stored(value: Tensor, *, half: bool) -> Tensor:
    return value.half().contiguous() if half and value.is_floating_point() else value.contiguous()
