"""LPIPS: how different two pictures look, by the features of a network that recognises things.

Source: R. Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018
(doi:10.1109/CVPR.2018.00068), version 0.1 of its weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.models.fetch import Said, weights_path
from vidperc.perception.backbone import Backbone, open_backbone
from vidperc.perception.weights import LPIPS_HEADS, read_weights

# Inside the root: outside it, the gradient of a position where all features are zero is not a number.
_EPSILON = 1e-8
SMALLEST = 32  # pixels of a side that every trunk takes
_TOLERANCE = 0.5  # around [0,1]; networks overshoot, but no picture in codes or in [-1,1] passes for one


@dataclass(frozen=True, kw_only=True)
class LpipsTrunk:
    """A network whose features are compared: its name in BACKBONES, and the layers that are."""

    backbone: str
    layers: tuple[str, ...]


# The authors measure with alex and train with vgg; squeeze is the smallest.
TRUNKS: Mapping[str, LpipsTrunk] = {
    "squeeze": LpipsTrunk(
        backbone="squeezenet1_1", layers=("relu1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9")
    ),
    "alex": LpipsTrunk(backbone="alexnet", layers=("relu1", "relu2", "relu3", "relu4", "relu5")),
    "vgg": LpipsTrunk(backbone="vgg16", layers=("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")),
}


class Lpips(nn.Module):
    """LPIPS v0.1 of pairs of pictures; called, it gives (N,) float32, 0 for equal ones, larger the less alike.

    Takes two (N,3,H,W) floating point RGB tensors in [0,1], sides of at least 32 pixels, on the device of the module.
    Computes in float32, under autocast too (in float64 after `.double()`). Gradients reach the pictures, never the
    weights; at equal pictures they are zero.
    Raises ValueError for another shape or type, and for values more than 0.5 outside [0,1] or not numbers.

    Where one picture is compared with several, `features` of each are computed once and `maps` compares them.
    """

    def __init__(self, backbone: Backbone, heads: Sequence[Tensor]) -> None:
        """heads: the weight of each channel, (1,C,1,1), none below 0, for every layer of the backbone."""
        super().__init__()
        self.backbone = backbone
        for place, head in enumerate(heads):
            self.register_buffer(f"root{place}", head.sqrt())

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        _check_pair(one, other)
        both = self.features(torch.cat([one, other]))
        maps = self.maps(tuple(layer[: len(one)] for layer in both), tuple(layer[len(one) :] for layer in both))
        return torch.stack([plane.mean(dim=(1, 2, 3)) for plane in maps]).sum(dim=0)

    def map(self, one: Tensor, other: Tensor) -> Tensor:
        """LPIPS of every pixel, (N,1,H,W): the layers' maps, brought to the pictures' size bilinearly, and added."""
        _check_pair(one, other)
        both = self.features(torch.cat([one, other]))
        maps = self.maps(tuple(layer[: len(one)] for layer in both), tuple(layer[len(one) :] for layer in both))
        size = one.shape[-2:]
        sized = [F.interpolate(plane, size=size, mode="bilinear", align_corners=False) for plane in maps]
        return torch.stack(sized).sum(dim=0)

    def features(self, rgb: Tensor) -> tuple[Tensor, ...]:
        """What is compared of pictures (N,3,H,W) in [0,1]: (N,C,h,w) for every layer.

        At each position they have length 1, for what is there counts, not how strongly it is; and each channel is
        scaled by the root of its weight, so that LPIPS is their squared distance, averaged over positions.
        """
        _check(rgb)
        with torch.autocast(rgb.device.type, enabled=False):
            layers: Sequence[Tensor] = tuple(self.backbone(rgb).values())
            return tuple(_unit(layer, self.get_buffer(f"root{place}")) for place, layer in enumerate(layers))

    def maps(self, one: Sequence[Tensor], other: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """How far two pictures' `features` are apart: (N,1,h,w) for every layer; LPIPS is the sum of their means."""
        with torch.autocast(one[0].device.type, enabled=False):
            return tuple(_squared_distance(a, b) for a, b in zip(one, other, strict=True))


class LpipsHeads(nn.Module):
    """LPIPS of pictures whose trunk was run elsewhere, for other purposes too: (N,), float32 or float64.

    Takes what the trunk gave of both, (N,C,h,w) for every layer of TRUNKS in its order, of any floating point type, and
    leaves it as it is.
    """

    def __init__(self, heads: Sequence[Tensor]) -> None:
        """heads: the weight of each channel, (1,C,1,1), none below 0, for every layer."""
        super().__init__()
        for place, head in enumerate(heads):
            self.register_buffer(f"root{place}", head.sqrt())

    def forward(self, one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
        apart: list[Tensor] = []
        with torch.autocast(one[0].device.type, enabled=False):
            for place, pair in enumerate(zip(one, other, strict=True)):
                root = self.get_buffer(f"root{place}")
                a, b = (_scaled(layer if layer.dtype == torch.float64 else layer.float(), root) for layer in pair)
                apart.append((a - b).square().sum(dim=1).mean(dim=(1, 2)))
            return torch.stack(apart).sum(dim=0)


def load_lpips(weights: Path | None, trunk: str = "squeeze", *, said: Said | None = None) -> Lpips:
    """LPIPS with this trunk (a name in TRUNKS), on the CPU.

    weights: a folder that holds the trunk and the heads; None for the folder that VIDPERC_WEIGHTS names or torch's
    downloads, into which they are fetched if they are in neither. said: as of `open_backbone`.
    Raises VidpercError for an unknown trunk, and for weights that cannot be had, cannot be read, or are others.
    """
    if trunk not in TRUNKS:
        raise VidpercError(f"lpips: unknown trunk {trunk!r}, wanted one of {', '.join(TRUNKS)}")
    if weights is not None and weights.is_file():
        raise VidpercError(
            f"{weights}: is a file; lpips needs two, its trunk and its heads: name the folder they lie in"
        )
    backbone = open_backbone(TRUNKS[trunk].backbone, layers=TRUNKS[trunk].layers, weights=weights, said=said)
    return Lpips(backbone, load_heads(weights, trunk, said=said))


def load_heads(weights: Path | None, trunk: str, *, said: Said | None = None) -> list[Tensor]:
    """The weight of each channel, (1,C,1,1), for every layer of a trunk; the rest as of `load_lpips`."""
    path = weights_path(LPIPS_HEADS[trunk], weights, said=said)
    heads = list(read_weights(path).values())
    if len(heads) != len(TRUNKS[trunk].layers):
        raise VidpercError(f"{path}: got {len(heads)} LPIPS heads, wanted {len(TRUNKS[trunk].layers)} for {trunk}")
    if not all(bool((head >= 0).all()) and head.ndim == 4 for head in heads):
        raise VidpercError(f"{path}: holds no LPIPS heads, wanted (1,C,1,1) weights of at least 0; get it again")
    return heads


def _unit(layer: Tensor, root: Tensor) -> Tensor:
    """Features (N,C,h,w) of length 1 at each position, times the root of each channel's weight."""
    if not _by_planes(layer):
        return _scaled(layer, root)
    length = torch.full_like(layer[:, :1], _EPSILON)  # (N, 1, h, w)
    for plane in torch.split(layer, 1, dim=1):
        length.addcmul_(plane, plane)
    return layer.mul_(length.rsqrt_()).mul_(root)  # nobody else holds what the backbone gave


def _scaled(layer: Tensor, root: Tensor) -> Tensor:
    return layer * root / (layer.square().sum(dim=1, keepdim=True) + _EPSILON).sqrt()


def _squared_distance(one: Tensor, other: Tensor) -> Tensor:
    """(N,C,h,w) and (N,C,h,w) to (N,1,h,w)."""
    if not _by_planes(one, other):
        return (one - other).square().sum(dim=1, keepdim=True)
    total = torch.zeros_like(one[:, :1])
    for a, b in zip(torch.split(one, 1, dim=1), torch.split(other, 1, dim=1), strict=True):
        apart = a - b
        total.addcmul_(apart, apart)
    return total


def _by_planes(*layers: Tensor) -> bool:
    """Whether channel by channel is quicker: a plane stays in the cache, a whole layer is new memory each time."""
    return all(layer.device.type == "cpu" and not layer.requires_grad for layer in layers)


def _check_pair(one: Tensor, other: Tensor) -> None:
    for picture in (one, other):
        _check(picture)
    if one.shape != other.shape:
        raise ValueError(f"lpips: got {tuple(one.shape)} and {tuple(other.shape)}, wanted equal shapes")


def _check(picture: Tensor) -> None:
    shape = tuple(picture.shape)
    if picture.ndim != 4 or shape[1] != 3 or min(shape[2:]) < SMALLEST or not picture.is_floating_point():
        raise ValueError(f"lpips: got {shape} {picture.dtype}, wanted (N,3,H,W) floats, sides from {SMALLEST} px")
    low, high = (float(bound) for bound in picture.detach().aminmax())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
        raise ValueError(f"lpips: got values from {low:g} to {high:g}, wanted RGB in [0,1]")
