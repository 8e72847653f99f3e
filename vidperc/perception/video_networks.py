"""The networks that see movement: how each is built and run, what it is fed, what its layers are called."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision.models.video import (  # pyright: ignore[reportMissingTypeStubs]
    MC3_18_Weights,
    MViT_V1_B_Weights,
    MViT_V2_S_Weights,
    R2Plus1D_18_Weights,
    R3D_18_Weights,
    S3D_Weights,
    Swin3D_T_Weights,
    mc3_18,
    mvit_v1_b,
    mvit_v2_s,
    r2plus1d_18,
    r3d_18,
    s3d,
    swin3d_t,
)

from vidperc.errors import VidpercError
from vidperc.models.fetch import WEIGHTS_VARIABLE, Said, torchvision_weights, weights_path
from vidperc.perception.i3d import LAYERS as I3D_LAYERS
from vidperc.perception.i3d import read_i3d
from vidperc.perception.own3d import STRIDES, Own3d, read_own3d, shipped_own3d
from vidperc.perception.weights import fill

Steps = Iterator[tuple[str, Tensor]]
Open = Callable[[Path | None, Said | None], nn.Module]

_KINETICS = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
_GREY = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_MINUS_ONE_TO_ONE = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
_AS_IT_IS = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class VideoNetwork:
    """A network that sees movement.

    open: makes it with its weights, out of a file, a folder, or None for where they are kept else; tells how many bytes
    were fetched.
    steps: runs it over normalised clips (N,3,T,H,W) and gives its layers one after another, (name, (N,C,t,h,w)).
    layers: their names. summary: the one that a Frechet distance is taken over, its places averaged.
    size: (H,W) of the frames that it wants; None for any. frames: least and greatest number of them, None for any.
    mean, spread: that R, G and B of [0,1] are normalised by.
    """

    open: Open
    steps: Callable[[nn.Module, Tensor], Steps]
    layers: tuple[str, ...]
    summary: str
    size: tuple[int, int] | None
    frames: tuple[int, int | None]
    mean: tuple[float, float, float]
    spread: tuple[float, float, float]


def _children(*names: str) -> Callable[[nn.Module, Tensor], Steps]:
    """Runs the parts of these names in turn."""

    def steps(module: nn.Module, clip: Tensor) -> Steps:
        for name in names:
            clip = module.get_submodule(name)(clip)
            yield name, clip

    return steps


_RESNET_LAYERS = ("stem", "layer1", "layer2", "layer3", "layer4")

_S3D_LAYERS = (
    *("conv1a", "pool2a", "conv2b", "conv2c", "pool3a", "mixed3b", "mixed3c", "pool4a"),
    *("mixed4b", "mixed4c", "mixed4d", "mixed4e", "mixed4f", "pool5a", "mixed5b", "mixed5c"),
)


def _s3d_steps(module: nn.Module, clip: Tensor) -> Steps:
    for name, layer in zip(_S3D_LAYERS, module.get_submodule("features").children(), strict=True):
        clip = layer(clip)
        yield name, clip


def _mvit_steps(module: nn.Module, clip: Tensor) -> Steps:
    clip = module.get_submodule("conv_proj")(clip)
    extent = clip.shape[2], clip.shape[3], clip.shape[4]
    tokens = module.get_submodule("pos_encoding")(clip.flatten(2).transpose(1, 2))  # (N, 1+t*h*w, C)
    yield "patches", _placed(tokens[:, 1:], extent)
    for place, block in enumerate(module.get_submodule("blocks").children()):
        tokens, extent = block(tokens, extent)
        yield f"block{place}", _placed(tokens[:, 1:], extent)  # the first token stands for the whole clip


def _placed(tokens: Tensor, extent: tuple[int, int, int]) -> Tensor:
    return tokens.transpose(1, 2).reshape(len(tokens), -1, *extent)  # (N, C, t, h, w)


_SWIN_LAYERS = ("patches", "stage1", "stage2", "stage3", "stage4")


def _swin_steps(module: nn.Module, clip: Tensor) -> Steps:
    clip = module.get_submodule("patch_embed")(clip)  # (N, t, h, w, C)
    yield "patches", clip.permute(0, 4, 1, 2, 3)
    stages = (name for name in _SWIN_LAYERS[1:])
    for place, part in enumerate(module.get_submodule("features").children()):
        clip = part(clip)
        if place % 2 == 0:  # between two stages patches are merged
            yield next(stages), clip.permute(0, 4, 1, 2, 3)


def _own_steps(module: nn.Module, clip: Tensor) -> Steps:
    yield from cast("Own3d", module).steps(clip.transpose(1, 2))


def _i3d_steps(module: nn.Module, clip: Tensor) -> Steps:
    for name, layer in module.named_children():
        clip = layer(clip)
        yield name, clip


def _videomae_steps(module: nn.Module, clip: Tensor) -> Steps:
    tokens = module.get_submodule("embeddings")(clip.transpose(1, 2), None)  # (N, t*h*w, C)
    extent = clip.shape[2] // 2, clip.shape[3] // 16, clip.shape[4] // 16
    yield "patches", _placed(tokens, extent)
    for place, layer in enumerate(module.get_submodule("encoder.layer").children()):
        found: Any = layer(tokens)
        tokens = cast("Tensor", found[0] if isinstance(found, tuple) else found)  # before version 5 of transformers
        yield f"block{place}", _placed(tokens, extent)


def _torchvision(name: str, build: Callable[..., nn.Module], announced: Any) -> Open:
    """Opens a network of torchvision with the weights that it announces."""

    def open_(weights: Path | None, said: Said | None) -> nn.Module:
        # Without storage, so that a layer which no weights were given to cannot be run by mistake.
        with torch.device("meta"):
            module = build(weights=None)
        path = weights_path(torchvision_weights(name, announced.url), weights, said=said)
        fill(module, list(module.state_dict()), path, of=name)
        return module

    return open_


def _open_own(weights: Path | None, said: Said | None) -> nn.Module:
    if weights is not None and weights.is_dir():
        # It comes along, so that a folder of other weights need not hold it.
        inside = weights / shipped_own3d().name
        weights = inside if inside.is_file() else None
    return read_own3d(weights)


def _open_i3d(weights: Path | None, said: Said | None) -> nn.Module:
    named = os.environ.get(WEIGHTS_VARIABLE)
    folder = weights if weights is not None or not named else Path(named).expanduser()
    if folder is None:
        raise VidpercError(
            f"i3d: its weights are nowhere to be fetched from, wanted {' or '.join(_I3D_FILES)}; name the file, or "
            f"put it into the folder that {WEIGHTS_VARIABLE} names, or take own"
        )
    if not folder.is_dir():
        return read_i3d(folder)
    found = next((folder / name for name in _I3D_FILES if (folder / name).is_file()), None)
    if found is None:
        raise VidpercError(f"{folder}: got none of {', '.join(_I3D_FILES)}, wanted the weights of I3D; put them there")
    return read_i3d(found)


# Weights as the first port to PyTorch has them, and the program that measures of FVD exchange.
_I3D_FILES = ("rgb_imagenet.pt", "i3d_torchscript.pt")


def _open_videomae(weights: Path | None, said: Said | None) -> nn.Module:
    try:
        transformers = importlib.import_module("transformers")  # an extra, which type checkers need not find
    except ImportError as error:
        raise VidpercError("videomae: wanted the package transformers; pip install 'vidperc[backbones]'") from error
    named = os.environ.get(WEIGHTS_VARIABLE)
    folder = weights if weights is not None or not named else Path(named).expanduser()
    inside = next((path for path in _videomae_folders(folder) if (path / "config.json").is_file()), None)
    if weights is not None and inside is None:
        raise VidpercError(f"{weights}: no weights of VideoMAE there; put https://huggingface.co/{_VIDEOMAE} there")
    try:
        return cast("nn.Module", transformers.VideoMAEModel.from_pretrained(_VIDEOMAE if inside is None else inside))
    except (OSError, ValueError) as error:
        told = " ".join(str(error).split())[:120]
        raise VidpercError(
            f"videomae: its weights are not here and could not be fetched ({told}); fetch "
            f"https://huggingface.co/{_VIDEOMAE} and name the folder that holds it"
        ) from error


_VIDEOMAE = "MCG-NJU/videomae-base"


def _videomae_folders(folder: Path | None) -> tuple[Path, ...]:
    return () if folder is None else (folder, folder / _VIDEOMAE.split("/")[1])


def _resnet(name: str, build: Callable[..., nn.Module], announced: Any, *, least: int) -> VideoNetwork:
    """One of the three of D. Tran et al., 2018 (doi:10.1109/CVPR.2018.00675)."""
    return VideoNetwork(
        open=_torchvision(name, build, announced),
        steps=_children(*_RESNET_LAYERS),
        layers=_RESNET_LAYERS,
        summary="layer4",
        size=(112, 112),
        frames=(least, None),
        mean=_KINETICS[0],
        spread=_KINETICS[1],
    )


def _mvit(name: str, build: Callable[..., nn.Module], announced: Any) -> VideoNetwork:
    """H. Fan et al., "Multiscale Vision Transformers", 2021; Y. Li et al., "MViTv2", 2022. It knows 16 frames only."""
    return VideoNetwork(
        open=_torchvision(name, build, announced),
        steps=_mvit_steps,
        layers=("patches", *(f"block{place}" for place in range(16))),
        summary="block15",
        size=(224, 224),
        frames=(16, 16),
        mean=_GREY[0],
        spread=_GREY[1],
    )


NETWORKS: Mapping[str, VideoNetwork] = {
    "own": VideoNetwork(
        open=_open_own,
        steps=_own_steps,
        layers=tuple(STRIDES),
        summary="layer3",
        size=None,
        frames=(4, None),
        mean=_AS_IT_IS[0],
        spread=_AS_IT_IS[1],
    ),
    "r3d_18": _resnet("r3d_18", r3d_18, R3D_18_Weights.DEFAULT, least=8),
    "mc3_18": _resnet("mc3_18", mc3_18, MC3_18_Weights.DEFAULT, least=4),
    "r2plus1d_18": _resnet("r2plus1d_18", r2plus1d_18, R2Plus1D_18_Weights.DEFAULT, least=8),
    # S. Xie et al., "Rethinking Spatiotemporal Feature Learning", 2018.
    "s3d": VideoNetwork(
        open=_torchvision("s3d", s3d, S3D_Weights.DEFAULT),
        steps=_s3d_steps,
        layers=_S3D_LAYERS,
        summary="mixed5c",
        size=(224, 224),
        frames=(8, None),
        mean=_KINETICS[0],
        spread=_KINETICS[1],
    ),
    "mvit_v1_b": _mvit("mvit_v1_b", mvit_v1_b, MViT_V1_B_Weights.DEFAULT),
    "mvit_v2_s": _mvit("mvit_v2_s", mvit_v2_s, MViT_V2_S_Weights.DEFAULT),
    # Z. Liu et al., "Video Swin Transformer", 2022.
    "swin3d_t": VideoNetwork(
        open=_torchvision("swin3d_t", swin3d_t, Swin3D_T_Weights.DEFAULT),
        steps=_swin_steps,
        layers=_SWIN_LAYERS,
        summary="stage4",
        size=(224, 224),
        frames=(4, None),
        mean=_IMAGENET[0],
        spread=_IMAGENET[1],
    ),
    "i3d": VideoNetwork(
        open=_open_i3d,
        steps=_i3d_steps,
        layers=I3D_LAYERS,
        summary=I3D_LAYERS[-1],
        size=(224, 224),
        frames=(9, None),
        mean=_MINUS_ONE_TO_ONE[0],
        spread=_MINUS_ONE_TO_ONE[1],
    ),
    # Z. Tong et al., "VideoMAE", 2022.
    "videomae": VideoNetwork(
        open=_open_videomae,
        steps=_videomae_steps,
        layers=("patches", *(f"block{place}" for place in range(12))),
        summary="block11",
        size=(224, 224),
        frames=(16, 16),
        mean=_IMAGENET[0],
        spread=_IMAGENET[1],
    ),
}
