"""Features of clips by networks that see movement: torchvision's, I3D, VideoMAE, and our own, which comes along."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.models.fetch import Said
from vidperc.perception.backbone import check_layers
from vidperc.perception.video_networks import NETWORKS, VideoNetwork

SMALLEST = 32  # pixels of a side
_TOLERANCE = 0.5  # around [0,1]; networks overshoot, but no clip in codes or in [-1,1] passes for one


class VideoBackbone(nn.Module):
    """The features of clips by one network; called, it gives {layer: (N,C,t,h,w)} for the layers asked for.

    Takes (N,T,3,H,W) floating point RGB in [0,1] on the device of the module. Each network wants its own size and
    brings every frame to it, whole, by bilinear resampling, antialiased, whatever its shape; `own` takes clips as
    they are. Normalised in float32, computed in what autocast says, else in the type of the weights: float32, or
    float64 after `.double()`. Frozen and in eval for good: gradients reach clips alone. No layer is run that is deeper
    than the deepest one asked for.
    Raises ValueError, begun with the network's name, for another shape or type, for fewer frames or smaller sides than
    the network takes, and for values more than 0.5 outside [0,1] or not numbers.

    name, layers: as asked for. size: (H,W) that frames are brought to; None for no other than they have.
    frames: the least number of frames, and the greatest, None for any.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, name: str, network: VideoNetwork, module: nn.Module, layers: Sequence[str]) -> None:
        super().__init__()
        self.name, self.layers = name, tuple(layers)
        self.size, self.frames = network.size, network.frames
        self._steps = network.steps
        self.module = module.eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(network.mean).view(1, 3, 1, 1, 1))
        self.register_buffer("spread", torch.tensor(network.spread).view(1, 3, 1, 1, 1))

    def train(self, mode: bool = True) -> VideoBackbone:
        """Stays in eval: what measures must not change while something else is trained."""
        return super().train(False)

    def forward(self, clip: Tensor) -> dict[str, Tensor]:
        self._check(clip)
        with torch.autocast(clip.device.type, enabled=False):
            given = clip.to(self.mean.dtype)
            if self.size is not None and tuple(given.shape[-2:]) != self.size:
                frames = given.flatten(0, 1)  # (N*T, 3, H, W)
                frames = F.interpolate(frames, size=self.size, mode="bilinear", align_corners=False, antialias=True)
                given = frames.view(*clip.shape[:3], *self.size)
            given = (given.transpose(1, 2) - self.mean) / self.spread  # (N, 3, T, H, W)
        found: dict[str, Tensor] = {}
        for layer, features in self._steps(self.module, given):
            if layer in self.layers:
                found[layer] = features
            if len(found) == len(self.layers):
                break
        return {layer: found[layer] for layer in self.layers}

    def check_frames(self, count: int) -> None:
        """Raises ValueError, begun with the network's name, for a clip of fewer or more frames than it takes."""
        least, most = self.frames
        if count < least or (most is not None and count > most):
            wanted = f"{least}" if most == least else f"at least {least}" if most is None else f"{least} to {most}"
            raise ValueError(f"{self.name}: got a clip of {count} frames, wanted {wanted}")

    def _check(self, clip: Tensor) -> None:
        shape = tuple(clip.shape)
        if clip.ndim != 5 or shape[2] != 3 or not shape[0] or not clip.is_floating_point():
            raise ValueError(f"{self.name}: got {shape} {clip.dtype}, wanted (N,T,3,H,W) floats")
        self.check_frames(shape[1])
        if min(shape[3:]) < SMALLEST:
            raise ValueError(f"{self.name}: got frames of {shape[4]}x{shape[3]}, wanted sides from {SMALLEST} px")
        low, high = (float(bound) for bound in clip.detach().aminmax())
        if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
            raise ValueError(f"{self.name}: got values from {low:g} to {high:g}, wanted RGB in [0,1]")


def open_video_backbone(
    name: str, *, layers: Sequence[str] = (), weights: Path | None = None, said: Said | None = None
) -> VideoBackbone:
    """A 3D network (a name in NETWORKS) that gives these layers of it, on the CPU, in float32.

    layers: none for the one that a Frechet distance of it is taken over.
    weights: a file, or a folder where it lies under its usual name; None for the folder that VIDPERC_WEIGHTS names or
    torch's downloads, into which torchvision's are fetched if they are in neither. Those of `own` come along; those of
    i3d are nowhere to be fetched from. said: is told the bytes that are here, and of how many, while they are fetched.
    Raises VidpercError for an unknown name or layer, and for weights that cannot be had or are others.
    """
    if name not in NETWORKS:
        raise VidpercError(f"unknown 3D backbone {name!r}, wanted one of {', '.join(NETWORKS)}")
    network = NETWORKS[name]
    wanted = tuple(layers) or (network.summary,)
    check_layers(name, wanted, network.layers)
    return VideoBackbone(name, network, network.open(weights, said), wanted)
