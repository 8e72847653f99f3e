"""Features of pictures by networks that were trained to recognise things: the one place where they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.models.fetch import Said, weights_path
from vidperc.perception.networks import NETWORKS, ImageNetwork
from vidperc.perception.weights import fill

_TOLERANCE = 0.5  # around [0,1]; networks overshoot, but no picture in codes or in [-1,1] passes for one
_LARGEST_MINIMUM = 512  # pixels; no layer of these networks needs as much


class Backbone(nn.Module):
    """The features of pictures by one network; called, it gives {layer: (N,C,h,w)} for the layers asked for.

    Takes (N,3,H,W) floating point RGB in [0,1] on the device of the module, of any size from `smallest` on. Normalised
    in float32, computed in what autocast says, else in the type of the weights: float32, or float64 after `.double()`.
    Frozen and in eval for good: gradients reach pictures alone. No layer is run that is deeper than the deepest one
    asked for.
    Raises ValueError, begun with the network's name, for another shape or type, for smaller sides, and for values more
    than 0.5 outside [0,1] or not numbers.

    name, layers: as asked for. strides: of each layer, the pixels from feature to feature.
    smallest: pixels that a side must have, so that there is something left at the deepest layer.
    """

    mean: Tensor
    spread: Tensor

    def __init__(
        self,
        name: str,
        body: nn.Module,
        *,
        strides: Mapping[str, int],
        smallest: int,
        mean: Sequence[float],
        spread: Sequence[float],
    ) -> None:
        """body: gives {layer: features}, for the layers in `strides`, of normalised pictures."""
        super().__init__()
        self.name, self.layers = name, tuple(strides)
        self.strides, self.smallest = dict(strides), smallest
        self.body = body.eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("spread", torch.tensor(spread).view(1, 3, 1, 1))

    def train(self, mode: bool = True) -> Backbone:
        """Stays in eval: what measures must not change while something else is trained."""
        return super().train(False)

    def forward(self, rgb: Tensor) -> dict[str, Tensor]:
        self._check(rgb)
        with torch.autocast(rgb.device.type, enabled=False):
            given = (rgb.to(self.mean.dtype) - self.mean) / self.spread  # (N, 3, H, W)
        found: dict[str, Tensor] = self.body(given)
        return {layer: found[layer] for layer in self.layers}

    def _check(self, rgb: Tensor) -> None:
        shape = tuple(rgb.shape)
        if rgb.ndim != 4 or shape[1] != 3 or not shape[0] or not rgb.is_floating_point():
            raise ValueError(f"{self.name}: got {shape} {rgb.dtype}, wanted (N,3,H,W) floats")
        if min(shape[2:]) < self.smallest:
            raise ValueError(
                f"{self.name}: got {shape[3]}x{shape[2]}, wanted sides of at least {self.smallest} px for "
                f"{', '.join(self.layers)}"
            )
        low, high = (float(bound) for bound in rgb.detach().aminmax())
        if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
            raise ValueError(f"{self.name}: got values from {low:g} to {high:g}, wanted RGB in [0,1]")


class Trunk(nn.Module):
    """Layers that are run one after the other, as far as the deepest that is asked for; gives {layer: features}."""

    def __init__(self, steps: Mapping[str, nn.Module], heads: Mapping[str, nn.Module], layers: Sequence[str]) -> None:
        """steps: by name, in their order. heads: what a layer's features go through, and ReLU, to be handed out."""
        super().__init__()
        self._names = tuple(steps)
        self._wanted = frozenset(layers)
        self.steps, self.heads = nn.ModuleList(steps.values()), nn.ModuleDict(heads)
        for before, step in zip(self._names, list(self.steps)[1:], strict=False):
            if isinstance(step, nn.ReLU) and before in self._wanted:
                step.inplace = False  # it would write over what is handed out

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for name, step in zip(self._names, self.steps, strict=True):
            features = step(features)
            if name in self._wanted:
                found[name] = self.heads[name](features).relu() if name in self.heads else features
        return found


def open_backbone(
    name: str, *, layers: Sequence[str], weights: Path | None = None, said: Said | None = None
) -> Backbone:
    """A network for pictures (a name in BACKBONES) that gives these layers of it, on the CPU, in float32.

    weights: a file, or a folder where it lies under its usual name; None for the folder that VIDPERC_WEIGHTS names or
    torch's downloads, into which it is fetched if it is in neither. said: is told the bytes that are here, and of how
    many, while it is fetched.
    Raises VidpercError for an unknown name or layer, and for weights that cannot be had or are others.
    """
    if name not in BACKBONES:
        raise VidpercError(f"unknown backbone {name!r}, wanted one of {', '.join(BACKBONES)}")
    return BACKBONES[name](name, layers, weights, said)


def _open_network(name: str, layers: Sequence[str], weights: Path | None, said: Said | None) -> Backbone:
    network = NETWORKS[name]
    # Without storage, so that a layer which no weights were given to cannot be run by mistake.
    with torch.device("meta"):
        built = network.build().eval()
    places = network.layers(built)
    check_layers(name, layers, tuple(places))
    known = list(places)
    steps = known[: max(known.index(layer) for layer in layers) + 1]
    body = Trunk(
        {step: built.get_submodule(places[step]) for step in steps},
        {layer: built.get_submodule(network.heads[layer]) for layer in layers if layer in network.heads},
        layers,
    )
    smallest = _smallest(body)
    _give_weights(name, network, built, steps, layers, weights_path(network.weights, weights, said=said))
    reached: dict[str, int] = {}
    stride = 1
    for step, module in zip(steps, body.steps, strict=True):
        stride *= _stride(module)
        reached[step] = stride
    strides = {layer: reached[layer] for layer in layers}
    return Backbone(name, body, strides=strides, smallest=smallest, mean=network.mean, spread=network.spread)


def check_layers(name: str, layers: Sequence[str], known: Sequence[str]) -> None:
    """Raises VidpercError for no layers, unknown ones, and twice the same."""
    unknown = [layer for layer in layers if layer not in known]
    if unknown:
        raise VidpercError(f"{name}: no layer {unknown[0]!r}, wanted some of {', '.join(known)}")
    if not layers or len(set(layers)) != len(layers):
        told = ", ".join(layers) or "none"
        raise VidpercError(f"{name}: got layers {told}, wanted each once, of {', '.join(known)}")


def _give_weights(
    name: str, network: ImageNetwork, built: nn.Module, steps: Sequence[str], layers: Sequence[str], path: Path
) -> None:
    places = network.layers(built)
    used = {places[step] for step in steps} | {network.heads[layer] for layer in layers if layer in network.heads}
    keys = [key for key in built.state_dict() if any(key.startswith(f"{place}.") for place in used)]
    fill(built, keys, path, of=name)


def _stride(module: nn.Module) -> int:
    stride: object = getattr(module, "stride", 1)
    return stride[0] if isinstance(stride, tuple) else stride  # pyright: ignore


def _smallest(body: nn.Module) -> int:
    """The shortest side that is left with something at the end; body: on the device "meta", where trying is free."""
    low, high = 0, _LARGEST_MINIMUM  # too small, large enough
    while high - low > 1:
        side = (low + high) // 2
        try:
            body(torch.empty((1, 3, side, side), device="meta"))
            high = side
        except RuntimeError:  # what convolutions, pools and mirrored borders say of too small a picture
            low = side
    return high


def _open_vit(name: str, layers: Sequence[str], weights: Path | None, _said: Said | None) -> Backbone:
    from vidperc.perception.vit import blocks, open_vit

    check_layers(name, layers, blocks(name))
    body, statistics = open_vit(name, layers, weights)
    strides = dict.fromkeys(layers, body.patch)
    mean, spread = statistics["mean"], statistics["spread"]
    return Backbone(name, body, strides=strides, smallest=body.patch, mean=mean, spread=spread)


Open = Callable[[str, Sequence[str], Path | None, Said | None], Backbone]
BACKBONES: Mapping[str, Open] = {
    **dict.fromkeys(NETWORKS, _open_network),
    "clip": _open_vit,
    "dino": _open_vit,
    "dinov2": _open_vit,
}
