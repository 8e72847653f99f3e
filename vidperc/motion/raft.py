"""Flow by RAFT, the networks of torchvision: the most exact here, and by far the dearest without a GPU."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.optical_flow import (  # pyright: ignore[reportMissingTypeStubs]
    Raft_Large_Weights,
    Raft_Small_Weights,
    raft_large,
    raft_small,
)

from vidperc.errors import VidpercError
from vidperc.models.fetch import torchvision_weights, weights_path
from vidperc.models.weights import read_tensors
from vidperc.motion.estimator import FlowEstimator

RaftName = Literal["raft-small", "raft-large"]
Padding = tuple[int, int, int, int]  # left, right, top, bottom

UPDATES = 12
_MULTIPLE = 8
_NETWORKS = {"raft-small": raft_small, "raft-large": raft_large}
_WEIGHTS = {"raft-small": Raft_Small_Weights.DEFAULT, "raft-large": Raft_Large_Weights.DEFAULT}

# The names of the original repository and what torchvision calls the same layers.
_NAMES = (
    (r"^fnet\.", "feature_encoder."),
    (r"^cnet\.", "context_encoder."),
    (r"^(\w+_encoder)\.conv1\.", r"\1.convnormrelu.0."),
    (r"^(\w+_encoder)\.norm1\.", r"\1.convnormrelu.1."),
    (r"^(\w+_encoder)\.conv2\.", r"\1.conv."),
    (r"\.(layer\d\.\d)\.conv(\d)\.", r".\1.convnormrelu\2.0."),
    (r"\.(layer\d\.\d)\.norm(\d)\.", r".\1.convnormrelu\2.1."),
    (r"^update_block\.encoder\.convc(\d)\.", r"update_block.motion_encoder.convcorr\1.0."),
    (r"^update_block\.encoder\.convf(\d)\.", r"update_block.motion_encoder.convflow\1.0."),
    (r"^update_block\.encoder\.conv\.", "update_block.motion_encoder.conv.0."),
    (r"^update_block\.gru\.conv([zrq])(\d)\.", r"update_block.recurrent_block.convgru\2.conv\1."),
    (r"^update_block\.gru\.conv([zrq])\.", r"update_block.recurrent_block.convgru1.conv\1."),
    (r"^update_block\.mask\.0\.", "mask_predictor.convrelu.0."),
    (r"^update_block\.mask\.2\.", "mask_predictor.conv."),
)


def open_raft(name: RaftName, weights: str | None, device: str) -> FlowEstimator:
    """RAFT on this device, in float32, with 12 updates.

    weights: the path of a file, in torchvision's layout or in that of the original repository; None for torchvision's
    own, which are fetched with a check of their sha256 when they are not there.
    Takes RGB; luma is taken for grey. Frames are continued to multiples of 8 on all sides.
    Raises VidpercError for weights that cannot be had or do not fit.
    Source: Z. Teed, J. Deng, "RAFT: Recurrent all-pairs field transforms for optical flow", 2020
    (doi:10.1007/978-3-030-58536-5_24).
    """
    path = fetched_weights(name) if weights is None else Path(weights)
    network = read_raft(name, path).to(device)

    def prepare(frame: Tensor) -> tuple[Tensor, Padding]:
        down, right = -frame.shape[1] % _MULTIPLE, -frame.shape[2] % _MULTIPLE
        padding = right // 2, right - right // 2, down // 2, down - down // 2
        rgb = frame.detach().to(device).expand(3, -1, -1)[None] * 2 - 1  # (1, 3, h, w) in [-1,1]
        return F.pad(rgb, padding, mode="replicate"), padding

    @torch.inference_mode()
    def flow(here: tuple[Tensor, Padding], there: tuple[Tensor, Padding]) -> Tensor:
        found = cast("list[Tensor]", network(here[0], there[0], num_flow_updates=UPDATES))[-1]
        return F.pad(found[0], [-side for side in here[1]])  # less than nothing cuts off

    return FlowEstimator(name=name, prepare=prepare, flow=flow)


def read_raft(name: RaftName, path: Path) -> nn.Module:
    """The network with the weights of a file, on the CPU.

    Raises VidpercError for a file that cannot be read or holds other weights.
    """
    if not path.is_file():
        raise VidpercError(
            f"{path}: no such file of weights for {name}; check the path, or leave the weights out to have them fetched"
        )
    found = torchvision_names(read_tensors(path))
    network = _NETWORKS[name](weights=None)
    wanted = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    got = {key: tuple(tensor.shape) for key, tensor in found.items()}
    if got != wanted:
        differs = next(iter(sorted(key for key in wanted.keys() | got.keys() if wanted.get(key) != got.get(key))))
        raise VidpercError(
            f"{path}: holds no weights of {name}: {differs} is {got.get(differs, 'absent')}, wanted "
            f"{wanted.get(differs, 'no such layer')}; name a file of {name}, of torchvision or the original repository"
        )
    network.load_state_dict(found)
    return network.eval().requires_grad_(False)


def torchvision_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the original repository under torchvision's names; those of torchvision as they are."""
    if not any(key.startswith("fnet.") for key in weights):
        return dict(weights)
    renamed: dict[str, Tensor] = {}
    for key, tensor in weights.items():
        # Where a block shrinks its input, the norm of its shortcut is there twice, under this name and as downsample.1.
        last = "4" if f"{key.rsplit('.norm', 1)[0]}.conv3.weight" in weights else "3"
        if re.search(rf"\.layer\d\.\d\.norm{last}\.", key):
            continue
        for old, new in _NAMES:
            key = re.sub(old, new, key)
        renamed[key] = tensor
    return renamed


def fetched_weights(name: RaftName) -> Path:
    """Torchvision's weights of this network: of VIDPERC_WEIGHTS or torch's downloads, fetched if in neither.

    Raises VidpercError when they are not there, and cannot be fetched, or are not what was announced.
    """
    published = torchvision_weights(name, cast("str", _WEIGHTS[name].url))
    return weights_path(published, otherwise=", or name a file of weights, or use dis")
