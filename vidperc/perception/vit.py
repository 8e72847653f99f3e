"""Transformers that see pictures as patches: CLIP and DINO, by the package timm, which is an extra."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.models.fetch import WEIGHTS_VARIABLE
from vidperc.perception.weights import fill

# What timm, and the Hugging Face hub below timm/, call them.
VITS: Mapping[str, str] = {
    "clip": "vit_base_patch16_clip_quickgelu_224.openai",
    "dino": "vit_small_patch16_224.dino",
    "dinov2": "vit_small_patch14_dinov2.lvd142m",
}


class Vit(nn.Module):
    """Blocks of a transformer, as far as the deepest that is asked for; gives {layer: (N,C,h,w)}, block1 the first.

    Pictures of any size: sides are brought to the nearest multiple of a patch by bilinear resampling, antialiased, and
    the places that the network learned are resampled to as many patches. Tokens that stand for no patch are left out.
    """

    def __init__(self, network: nn.Module, layers: Sequence[str], patch: int) -> None:
        super().__init__()
        self.network, self.patch = network, patch
        self._places = sorted(_place(layer) for layer in layers)

    def forward(self, picture: Tensor) -> dict[str, Tensor]:
        sides = [max(1, round(side / self.patch)) * self.patch for side in picture.shape[-2:]]
        if sides != list(picture.shape[-2:]):
            picture = F.interpolate(picture, size=sides, mode="bilinear", align_corners=False, antialias=True)
        run = cast("Callable[..., list[Tensor]]", self.network.forward_intermediates)
        found = run(picture, indices=self._places, stop_early=True, intermediates_only=True, output_fmt="NCHW")
        return {f"block{place + 1}": features for place, features in zip(self._places, found, strict=True)}


def blocks(name: str) -> tuple[str, ...]:
    """The layers of one of VITS: block1, block2, ..."""
    with torch.device("meta"):
        return tuple(f"block{place + 1}" for place in range(len(cast("Sized", _create(name).blocks))))


def open_vit(name: str, layers: Sequence[str], weights: Path | None) -> tuple[Vit, Mapping[str, Sequence[float]]]:
    """One of VITS with its weights, on the CPU, and the mean and std that its pictures are normalised by.

    weights: a file in timm's layout, or a folder where it lies as NAME.safetensors or NAME/model.safetensors, with a
    name in the values of VITS; None for the folder that VIDPERC_WEIGHTS names, else timm fetches it.
    Raises VidpercError without the package timm, and for weights that cannot be had or are others.
    """
    path = _file(name, weights)
    if path is not None:
        with torch.device("meta"):
            network = _create(name)
        fill(network, network.state_dict(), path, of=name)
    else:
        network = _fetched(name)
    facts = cast("dict[str, Any]", network.pretrained_cfg)
    patch = cast("tuple[int, int]", network.get_submodule("patch_embed").patch_size)[0]
    return Vit(network, layers, patch), {"mean": facts["mean"], "spread": facts["std"]}


def _create(name: str, *, pretrained: bool = False) -> nn.Module:
    try:
        timm = importlib.import_module("timm")  # an extra, which type checkers need not find
    except ImportError as error:
        raise VidpercError(f"{name}: wanted the package timm; pip install 'vidperc[backbones]'") from error
    make = cast("Callable[..., nn.Module]", timm.create_model)
    return make(VITS[name], pretrained=pretrained, dynamic_img_size=True, num_classes=0).eval()


def _file(name: str, weights: Path | None) -> Path | None:
    variable = os.environ.get(WEIGHTS_VARIABLE)
    folder = weights if weights is not None or not variable else Path(variable).expanduser()
    if folder is None or folder.is_file():
        return folder
    usual = (folder / f"{VITS[name]}.safetensors", folder / VITS[name] / "model.safetensors")
    found = next((path for path in usual if path.is_file()), None)
    if found is None and weights is not None:
        raise VidpercError(
            f"{usual[0]}: not found, and {name} needs it; fetch https://huggingface.co/timm/{VITS[name]}/resolve/main/"
            "model.safetensors and put it there under this name, or name another folder"
        )
    return found


def _fetched(name: str) -> nn.Module:
    try:
        return _create(name, pretrained=True)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise VidpercError(
            f"{name}: its weights are not here and timm could not fetch them ({reason}); fetch https://huggingface.co/"
            f"timm/{VITS[name]}/resolve/main/model.safetensors and put it as {VITS[name]}.safetensors into the folder "
            f"that {WEIGHTS_VARIABLE} names"
        ) from error


def _place(layer: str) -> int:
    return int(layer.removeprefix("block")) - 1
