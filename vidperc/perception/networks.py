"""The networks for pictures whose features there are: how each is built, and what its layers are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn
from torchvision import models  # pyright: ignore[reportMissingTypeStubs]

from vidperc.models.fetch import PublishedWeights
from vidperc.perception.weights import TRUNKS, WCT16X

IMAGENET_MEAN, IMAGENET_SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class ImageNetwork:
    """A network whose layers are run one after the other.

    build: makes it. layers: what of it gives which layer, in their order: names of its submodules by those of layers.
    heads: of some layers, a submodule that their features go through, and ReLU, before they are handed out.
    mean, spread: of each channel of RGB in [0,1], that pictures are normalised by.
    """

    weights: PublishedWeights
    build: Callable[[], nn.Module]
    layers: Callable[[nn.Module], Mapping[str, str]]
    heads: Mapping[str, str] = field(default_factory=dict[str, str])
    mean: tuple[float, float, float] = IMAGENET_MEAN
    spread: tuple[float, float, float] = IMAGENET_SPREAD


def _vgg_layers(network: nn.Module) -> dict[str, str]:
    """conv1_1, relu1_1, conv1_2, relu1_2, pool1, conv2_1, ...: block and place within it."""
    found: dict[str, str] = {}
    block, place = 1, 0
    for index, layer in enumerate(network.get_submodule("features").children()):
        if isinstance(layer, nn.MaxPool2d):
            found[f"pool{block}"] = f"features.{index}"
            block, place = block + 1, 0
        else:
            place += isinstance(layer, nn.Conv2d)
            found[f"{'conv' if isinstance(layer, nn.Conv2d) else 'relu'}{block}_{place}"] = f"features.{index}"
    return found


def _counted_layers(network: nn.Module) -> dict[str, str]:
    """conv1, relu1, pool1, conv2, ... of AlexNet; conv1, relu1, pool1, fire2, fire3, pool3, ... of SqueezeNet."""
    found: dict[str, str] = {}
    count = 0
    for index, layer in enumerate(network.get_submodule("features").children()):
        kind = {"Conv2d": "conv", "ReLU": "relu", "MaxPool2d": "pool", "Fire": "fire"}[type(layer).__name__]
        count += kind in ("conv", "fire")
        found[f"{kind}{count}"] = f"features.{index}"
    return found


def _resnet_layers(network: nn.Module) -> dict[str, str]:
    """conv1, bn1, relu, maxpool, layer1.0, ..., layer1, layer2.0, ...: the last block of a layer has its name."""
    found = {name: name for name in ("conv1", "bn1", "relu", "maxpool")}
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        last = len(list(network.get_submodule(stage).children())) - 1
        for block in range(last + 1):
            found[stage if block == last else f"{stage}.{block}"] = f"{stage}.{block}"
    return found


# Convolutions in each block of VGG-19, as far as the encoder goes, and their widths in the encoder and in VGG-19.
_WCT_BLOCKS = ((2, 16, 64), (2, 32, 128), (4, 64, 256), (4, 128, 512), (1, 128, 512))


class Wct16x(nn.Module):
    """The 16 times smaller encoder of VGG-19's features, with the 1x1 layers that bring them to VGG-19's widths.

    Its layers are run one by one. It takes RGB in [0,1]: its first layer learned what Caffe's networks want. Borders
    are mirrored.
    Source: H. Wang et al., "Collaborative Distillation for Ultra-Resolution Universal Style Transfer", 2020
    (doi:10.1109/CVPR42600.2020.00193).
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 3, 1)
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)
        before = 3
        for block, (places, width, wide) in enumerate(_WCT_BLOCKS, 1):
            for place in range(1, places + 1):
                convolution = nn.Conv2d(before, width, 3, padding=1, padding_mode="reflect")
                self.add_module(f"conv{block}{place}", convolution)
                before = width
            self.add_module(f"conv{block}1_aux", nn.Conv2d(width, wide, 1))


def _wct_layers(_network: nn.Module) -> dict[str, str]:
    """conv0, conv1_1, relu1_1, conv1_2, relu1_2, pool1, ..., relu5_1."""
    found = {"conv0": "conv0"}
    for block, (places, _, _) in enumerate(_WCT_BLOCKS, 1):
        if block > 1:
            found[f"pool{block - 1}"] = "pool"
        for place in range(1, places + 1):
            found[f"conv{block}_{place}"] = f"conv{block}{place}"
            found[f"relu{block}_{place}"] = "relu"
    return found


_Layers = Callable[[nn.Module], Mapping[str, str]]
_TORCHVISION: Mapping[str, tuple[Callable[..., nn.Module], _Layers]] = {
    "vgg11": (models.vgg11, _vgg_layers),
    "vgg13": (models.vgg13, _vgg_layers),
    "vgg16": (models.vgg16, _vgg_layers),
    "vgg19": (models.vgg19, _vgg_layers),
    "alexnet": (models.alexnet, _counted_layers),
    "squeezenet1_1": (models.squeezenet1_1, _counted_layers),
    "resnet18": (models.resnet18, _resnet_layers),
    "resnet34": (models.resnet34, _resnet_layers),
    "resnet50": (models.resnet50, _resnet_layers),
    "resnet101": (models.resnet101, _resnet_layers),
}


def _torchvision(name: str) -> ImageNetwork:
    build, layers = _TORCHVISION[name]
    return ImageNetwork(weights=TRUNKS[name], build=lambda: build(weights=None), layers=layers)


NETWORKS: Mapping[str, ImageNetwork] = {
    **{name: _torchvision(name) for name in _TORCHVISION},
    "wct16x": ImageNetwork(
        weights=WCT16X,
        build=Wct16x,
        layers=_wct_layers,
        heads={f"relu{block}_1": f"conv{block}1_aux" for block in range(1, 6)},
        mean=(0.0, 0.0, 0.0),
        spread=(1.0, 1.0, 1.0),
    ),
}
