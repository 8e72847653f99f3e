"""I3D, the network that the Frechet video distance of the papers (FVD) stands on; its weights are the user's to bring.

Source: J. Carreira, A. Zisserman, "Quo Vadis, Action Recognition?", 2017 (doi:10.1109/CVPR.2017.502), with the names of
the layers that its ports to PyTorch share. The features of FVD are the 400 logits before the softmax: T. Unterthiner
et al., "Towards Accurate Generative Models of Video", 2018.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.perception.weights import fill

LAYERS = (
    *(
        "Conv3d_1a_7x7",
        "MaxPool3d_2a_3x3",
        "Conv3d_2b_1x1",
        "Conv3d_2c_3x3",
        "MaxPool3d_3a_3x3",
        "Mixed_3b",
        "Mixed_3c",
    ),
    *("MaxPool3d_4a_3x3", "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f", "MaxPool3d_5a_2x2"),
    *("Mixed_5b", "Mixed_5c", "logits"),
)

# Channels of the branches of an Inception block: 1x1; 1x1 and 3x3; 1x1 and 3x3; 1x1 after pooling.
_MIXED = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}
_CLASSES = 400


class I3d(nn.Module):
    """I3D for RGB in [-1,1], (N,3,T,224,224); its children are its layers, in their order, the last one the logits.

    T is at least 9 frames, so that two are left to be pooled.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = _Unit(3, 64, (7, 7, 7), (2, 2, 2))
        self.MaxPool3d_2a_3x3 = _SamePool((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = _Unit(64, 64)
        self.Conv3d_2c_3x3 = _Unit(64, 192, (3, 3, 3))
        self.MaxPool3d_3a_3x3 = _SamePool((1, 3, 3), (1, 2, 2))
        pools = {
            "Mixed_4b": ("MaxPool3d_4a_3x3", (3, 3, 3)),
            "Mixed_5b": ("MaxPool3d_5a_2x2", (2, 2, 2)),
        }
        for name, (channels, wanted) in _MIXED.items():
            if name in pools:
                pool, side = pools[name]
                self.add_module(pool, _SamePool(side, (2, 2, 2)))
            self.add_module(name, _Mixed(channels, wanted))
        self.logits = _Logits()


class _Unit(nn.Module):
    """A convolution, a norm and a ReLU, padded as TensorFlow's SAME: what is odd goes to the end."""

    def __init__(
        self,
        channels: int,
        wanted: int,
        side: tuple[int, int, int] = (1, 1, 1),
        stride: tuple[int, int, int] = (1, 1, 1),
    ) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(channels, wanted, side, stride=stride, bias=False)
        self.bn = nn.BatchNorm3d(wanted, eps=0.001)
        self.side, self.stride = side, stride

    def forward(self, clip: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv3d(_same(clip, self.side, self.stride))))


class _SamePool(nn.Module):
    def __init__(self, side: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.side, self.stride = side, stride

    def forward(self, clip: Tensor) -> Tensor:
        return F.max_pool3d(_same(clip, self.side, self.stride), self.side, self.stride)


class _Mixed(nn.Module):
    def __init__(self, channels: int, wanted: tuple[int, ...]) -> None:
        super().__init__()
        self.b0 = _Unit(channels, wanted[0])
        self.b1a = _Unit(channels, wanted[1])
        self.b1b = _Unit(wanted[1], wanted[2], (3, 3, 3))
        self.b2a = _Unit(channels, wanted[3])
        self.b2b = _Unit(wanted[3], wanted[4], (3, 3, 3))
        self.b3a = _SamePool((3, 3, 3), (1, 1, 1))
        self.b3b = _Unit(channels, wanted[5])

    def forward(self, clip: Tensor) -> Tensor:
        branches = self.b0(clip), self.b1b(self.b1a(clip)), self.b2b(self.b2a(clip)), self.b3b(self.b3a(clip))
        return torch.cat(branches, dim=1)


class _Logits(nn.Module):
    """The means of the features, over the picture and two steps of time, as logits; their mean over time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(1024, _CLASSES, 1)

    def forward(self, clip: Tensor) -> Tensor:
        pooled = F.avg_pool3d(clip, (2, *clip.shape[-2:]), 1)  # (N, 1024, t, 1, 1)
        return self.conv3d(pooled).mean(dim=2, keepdim=True)  # (N, 400, 1, 1, 1)


def _same(clip: Tensor, side: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    padding: list[int] = []
    for have, kernel, step in reversed(list(zip(clip.shape[2:], side, stride, strict=True))):
        lacks = max(kernel - (step if have % step == 0 else have % step), 0)
        padding += [lacks // 2, lacks - lacks // 2]
    return F.pad(clip, padding)


class ScriptedI3d(nn.Module):
    """I3D in a TorchScript file, as programs that measure FVD exchange it: its only layer is its logits."""

    def __init__(self, script: nn.Module) -> None:
        super().__init__()
        self.logits = _Scripted(script)


class _Scripted(nn.Module):
    def __init__(self, script: nn.Module) -> None:
        super().__init__()
        self.script = script

    def forward(self, clip: Tensor) -> Tensor:
        logits: Tensor = self.script(clip, rescale=False, resize=False, return_features=True)
        return logits[:, :, None, None, None]  # (N, 400, 1, 1, 1)


def read_i3d(path: Path) -> I3d | ScriptedI3d:
    """I3D out of a file: its weights (.pt, .pth, .safetensors), or a TorchScript program that holds them.

    A program from elsewhere is run as it is; of a file of weights only numbers are read.
    Raises VidpercError for a file that is absent, cannot be read or holds something else.
    """
    if not path.is_file():
        raise VidpercError(
            f"{path}: no such file, wanted the weights of I3D (Kinetics-400, RGB), as rgb_imagenet.pt or a TorchScript "
            "i3d_torchscript.pt; fetch one, or measure with fvd@own"
        )
    if _is_script(path):
        return ScriptedI3d(_read_script(path))
    with torch.device("meta"):
        network = I3d()
    fill(network, list(network.state_dict()), path, of="i3d")
    return network


def _is_script(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def _read_script(path: Path) -> nn.Module:
    try:
        script = cast("nn.Module", torch.jit.load(path, map_location="cpu"))  # pyright: ignore[reportPrivateImportUsage]
    except (RuntimeError, OSError) as error:
        told = " ".join(str(error).split())[:120]
        raise VidpercError(f"{path}: cannot be read as TorchScript ({told}); get it again") from error
    probe = torch.zeros(1, 3, 16, 224, 224)
    try:
        with torch.no_grad():
            shape = tuple(script(probe, rescale=False, resize=False, return_features=True).shape)
    except RuntimeError as error:
        told = " ".join(str(error).split())[:120]
        raise VidpercError(f"{path}: does not take clips as I3D files for FVD do ({told}); take another") from error
    if len(shape) != 2:
        raise VidpercError(f"{path}: gives {shape} for a clip, wanted one row of logits; take a file made for FVD")
    return script
