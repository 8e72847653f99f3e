"""The 3D network of our own, `own`: what the movement of a short clip looks like, without weights from elsewhere.

It was taught by itself: which way time runs, how fast a clip plays, what was done to it (`vidperc.training.own3d`).
Source: the layers are those of D. Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition",
2018 (doi:10.1109/CVPR.2018.00675), R(2+1)D, small and without norms; learning from the arrow of time and from the speed
after D. Wei et al., "Learning and Using the Arrow of Time", 2018, and S. Benaim et al., "SpeedNet", 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from vidperc.errors import VidpercError

ARCHITECTURE = "own-3d"
NAME = "own-3d"

# How many frames and pixels of the clip there are to one place of a layer's features, and their channels.
WIDTHS = {"stem": 24, "layer1": 40, "layer2": 64, "layer3": 64}
STRIDES = {"stem": (1, 2), "layer1": (1, 4), "layer2": (2, 8), "layer3": (4, 16)}

_MEAN, _SPREAD = 0.45, 0.225
_CHANGE = 4.0  # how much larger the change from frame to frame is made

Convolution = Callable[..., nn.Conv2d]


@dataclass(frozen=True, kw_only=True)
class Own3dCard:
    """What the file of an own 3D network says of it.

    data: what it learnt from, with licences. figures: what was measured on scenes that it did not learn from.
    """

    name: str
    summary: str
    parameters: int
    licence: str
    data: str
    steps: int
    seed: int
    command: str
    figures: str


class Own3d(nn.Module):
    """The features of clips, (N,T,3,H,W) RGB in [0,1], as {layer: (N,C,t,h,w)} for each of its layers.

    t and (h,w) are T, H and W over STRIDES, rounded up. Any size does; nothing is resized. No norms, no state: what a
    place of the features tells depends on 26 frames and 89 pixels around it alone. With the weights that come along the
    features of every layer are about 1 large, as the root of their mean square over many clips.
    """

    def __init__(self, convolution: Convolution = nn.Conv2d) -> None:
        """convolution: makes its layers, called as nn.Conv2d is; what teaches it has its own."""
        super().__init__()
        a, b, c, d = WIDTHS.values()
        self.stem = _Conv(convolution, 6, a, side=5, stride=2)
        self.layer1 = _Block(convolution, a, b, stride=2)
        self.layer2 = _Block(convolution, b, c, stride=2, every=2)
        self.layer3 = _Block(convolution, c, d, stride=2, every=2)

    def forward(self, clip: Tensor) -> dict[str, Tensor]:
        return dict(self.steps(clip))

    def steps(self, clip: Tensor) -> Iterator[tuple[str, Tensor]]:
        """The layers one after another; those that nobody waits for are not run."""
        count = clip.shape[0]
        given = (clip - _MEAN) / _SPREAD
        # What changes is a small part of what is there, and would take a network long to find by itself.
        change = torch.cat([torch.zeros_like(given[:, :1]), _CHANGE * (given[:, 1:] - given[:, :-1])], dim=1)
        frames = torch.cat([given, change], dim=2).flatten(0, 1)  # (N*T, 6, H, W)
        frames = frames.contiguous(memory_format=torch.channels_last)
        for name, layer in self.named_children():
            frames = F.relu(layer(frames, count))
            yield name, frames.unflatten(0, (count, -1)).transpose(1, 2)  # (N, C, t, h, w)


class _Conv(nn.Module):
    """Space, then time: (N*T,C,H,W) to (N*t,c,h,w), both in channels_last.

    Written with 2D convolutions over views: they are many times as fast on a CPU as those in 3D.
    """

    def __init__(
        self, convolution: Convolution, channels: int, wanted: int, *, side: int = 3, stride: int = 1, every: int = 1
    ) -> None:
        super().__init__()
        self.space = convolution(channels, wanted, side, stride=stride, padding=side // 2)
        self.time = convolution(wanted, wanted, (3, 1), stride=(every, 1), padding=(1, 0))

    def forward(self, frames: Tensor, count: int) -> Tensor:
        frames = F.relu(self.space(frames))
        height, width = frames.shape[-2:]
        places = frames.permute(0, 2, 3, 1).reshape(count, -1, height * width, frames.shape[1])  # (N, T, h*w, c)
        found = self.time(places.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (N, t, h*w, c)
        return found.reshape(-1, height, width, found.shape[-1]).permute(0, 3, 1, 2)  # (N*t, c, h, w)


class _Block(nn.Module):
    """Two convolutions and the way around them."""

    def __init__(self, convolution: Convolution, channels: int, wanted: int, *, stride: int, every: int = 1) -> None:
        super().__init__()
        self.first = _Conv(convolution, channels, wanted, stride=stride, every=every)
        self.second = _Conv(convolution, wanted, wanted)
        self.around = convolution(channels, wanted, 1, stride=stride)
        self.every = every

    def forward(self, frames: Tensor, count: int) -> Tensor:
        found = self.second(F.relu(self.first(frames, count)), count)
        kept = frames.reshape(count, -1, *frames.shape[1:])[:, :: self.every].flatten(0, 1)
        return found + self.around(kept)


def shipped_own3d() -> Path:
    """Where the weights lie that come along."""
    return Path(__file__).resolve().parent / "shipped" / f"{NAME}.safetensors"


def read_own3d(path: Path | None = None) -> Own3d:
    """The network with the weights of a file that `vidperc train own-3d` made, None for those that come along.

    On the CPU, in float32, frozen. Raises VidpercError for a file that is absent, damaged or holds something else.
    """
    path = shipped_own3d() if path is None else path
    own3d_card(path)
    network = Own3d()
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    with safe_open(path, framework="pt") as file:  # pyright: ignore[reportUnknownVariableType]
        names = cast("list[str]", file.keys())
        weights = {name: cast("Tensor", file.get_tensor(name)).float() for name in names}
    got = {name: tuple(value.shape) for name, value in weights.items()}
    if got != wanted:
        name = min(name for name, _ in got.items() ^ wanted.items())
        raise VidpercError(f"{path}: {name} has the shape {got.get(name)}, wanted {wanted.get(name)}; {_ANOTHER}")
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


_ANOTHER = "take the file that comes along, or one that `vidperc train own-3d` made"


def own3d_card(path: Path | None = None) -> Own3dCard:
    """The card in a file of weights, None for those that come along. Raises VidpercError as `read_own3d`."""
    path = shipped_own3d() if path is None else path
    if not path.is_file():
        raise VidpercError(f"{path}: no such file, wanted the weights of {NAME}; {_ANOTHER}")
    try:
        with safe_open(path, framework="pt") as file:  # pyright: ignore[reportUnknownVariableType]
            facts = cast("dict[str, str]", file.metadata() or {})
        if facts.get("architecture") != ARCHITECTURE:
            raise VidpercError(f"{path}: holds no weights of {NAME}; {_ANOTHER}")
        return Own3dCard(
            name=facts["name"],
            summary=facts["summary"],
            parameters=int(facts["parameters"]),
            licence=facts["licence"],
            data=facts["data"],
            steps=int(facts["steps"]),
            seed=int(facts["seed"]),
            command=facts["command"],
            figures=facts["figures"],
        )
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        told = " ".join(str(error).split())[:120]
        raise VidpercError(f"{path}: cannot be read as weights ({type(error).__name__}: {told}); {_ANOTHER}") from error
