"""LPIPS: how different two pictures look, by the features of a network that recognises things.

Source: R. Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018
(doi:10.1109/CVPR.2018.00068), version 0.1 of its weights.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torchvision.models import squeezenet1_1  # pyright: ignore[reportMissingTypeStubs]

from vidperc.errors import VidpercError

# Of inputs in [-1,1], over the statistics of ImageNet.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
# Inside the root: outside it, the gradient of a position where all features are zero is not a number.
_EPSILON = 1e-8
SMALLEST = 32  # pixels of a side that every trunk takes
_TOLERANCE = 0.5  # around [0,1]; networks overshoot, but no picture in codes or in [-1,1] passes for one


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """A network whose features are compared.

    build: makes it without weights; its `features` are run. weights, heads: the files, below the folder of weights.
    taps: the features that are compared, each by the place of the layer that gives it.
    """

    build: Callable[[], nn.Module]
    weights: str
    heads: str
    taps: tuple[int, ...]


TRUNKS: Mapping[str, Trunk] = {
    "squeeze": Trunk(
        build=lambda: squeezenet1_1(weights=None),
        weights="squeezenet1_1_torchvision/squeezenet1_1.fp16.pth",
        heads="lpips_lin_v0.1/squeeze.pth",
        taps=(1, 4, 7, 9, 10, 11, 12),
    ),
}


class Lpips(nn.Module):
    """LPIPS v0.1 of pairs of pictures; called, it gives (N,) float32, 0 for equal ones, larger the less alike.

    Takes two (N,3,H,W) floating point RGB tensors in [0,1], sides of at least 32 pixels, on the device of the module.
    Computes in float32, under autocast too. Gradients reach the pictures, never the weights; at equal pictures they
    are zero.
    Raises ValueError for another shape or type, and for values more than 0.5 outside [0,1] or not numbers.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, trunk: nn.Sequential, taps: tuple[int, ...], heads: list[Tensor]) -> None:
        """trunk: the layers up to the last tap. heads: the weight of each channel, (1,C,1,1), for every tap."""
        super().__init__()
        self.trunk = trunk.eval().requires_grad_(False)
        self.taps = taps
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1))
        for place, head in enumerate(heads):
            self.register_buffer(f"head{place}", head)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        _check(one, other)
        with torch.autocast(one.device.type, enabled=False):
            total = torch.zeros(one.shape[0], device=one.device)
            features = torch.cat([one, other]).float().mul(2).sub(1)  # (2N, 3, H, W)
            features = (features - self.shift) / self.scale
            for place, layer in enumerate(self.trunk):
                features = layer(features)
                if place in self.taps:
                    head = self.get_buffer(f"head{self.taps.index(place)}")
                    # Each position's features have length 1: what is there counts, not how strongly it is.
                    unit = features / (features.square().sum(dim=1, keepdim=True) + _EPSILON).sqrt()
                    apart = (unit[: len(one)] - unit[len(one) :]).square()  # (N, C, h, w)
                    total = total + (apart * head).sum(dim=1).mean(dim=(1, 2))
            return total


def _check(one: Tensor, other: Tensor) -> None:
    for picture in (one, other):
        shape = tuple(picture.shape)
        if picture.ndim != 4 or shape[1] != 3 or min(shape[2:]) < SMALLEST or not picture.is_floating_point():
            raise ValueError(f"lpips: got {shape} {picture.dtype}, wanted (N,3,H,W) floats, sides from {SMALLEST} px")
        low, high = (float(bound) for bound in picture.detach().aminmax())
        if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
            raise ValueError(f"lpips: got values from {low:g} to {high:g}, wanted RGB in [0,1]")
    if one.shape != other.shape:
        raise ValueError(f"lpips: got {tuple(one.shape)} and {tuple(other.shape)}, wanted equal shapes")


def load_lpips(folder: Path, trunk: str = "squeeze") -> Lpips:
    """LPIPS with this trunk (a name in TRUNKS) and its weights out of a folder, on the CPU.

    Raises VidpercError for a file that is absent, cannot be read, or holds other weights.
    """
    kind = TRUNKS[trunk]
    layers = kind.build().get_submodule("features")
    assert isinstance(layers, nn.Sequential)
    path = folder / kind.weights
    weights = {name: value for name, value in _read(path).items() if name.startswith("features.")}
    try:
        layers.load_state_dict({name.removeprefix("features."): value for name, value in weights.items()})
    except RuntimeError as error:
        raise VidpercError(f"{path}: holds no weights of the {trunk} trunk; {_short(error)}") from error
    path = folder / kind.heads
    heads = [value.float() for value in _read(path).values()]
    if len(heads) != len(kind.taps):
        raise VidpercError(f"{path}: got {len(heads)} LPIPS heads, wanted {len(kind.taps)} for {trunk}")
    return Lpips(layers[: max(kind.taps) + 1], kind.taps, heads)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        read: object = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise VidpercError(f"{path}: not found; LPIPS needs this file, put it there or name another folder") from error
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise VidpercError(f"{path}: cannot be read as weights ({_short(error)}); get it again") from error
    if not isinstance(read, dict):
        raise VidpercError(f"{path}: got a {type(read).__name__}, wanted a dictionary of weights; get it again")
    return cast("dict[str, Tensor]", read)


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
