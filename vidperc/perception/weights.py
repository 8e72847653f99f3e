"""The published weights that perception stands on, and how a file of them is read."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.models.fetch import PublishedWeights, torchvision_weights

_TORCHVISION = "https://download.pytorch.org/models"
_LPIPS = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1"
_WCT = "https://raw.githubusercontent.com/MingSun-Tse/Collaborative-Distillation/75c1b81c1dbea11c96d3fb04e96f207dee16dcbb/trained_models/wct_se_16x_new"
_TORCHMETRICS = "https://raw.githubusercontent.com/Lightning-AI/torchmetrics/v1.9.0/src/torchmetrics"

# Of the ImageNet networks, those of torchvision that papers took: IMAGENET1K_V1.
TRUNKS: Mapping[str, PublishedWeights] = {
    name: torchvision_weights(name, f"{_TORCHVISION}/{file}", *other)
    for name, file, other in (
        ("vgg11", "vgg11-8a719046.pth", ()),
        ("vgg13", "vgg13-19584684.pth", ()),
        ("vgg16", "vgg16-397923af.pth", ()),
        ("vgg19", "vgg19-dcbb9e9d.pth", ()),
        ("alexnet", "alexnet-owt-7be5be79.pth", ()),
        (
            "squeezenet1_1",
            "squeezenet1_1-b8a52dc0.pth",
            ("squeezenet1_1_torchvision/squeezenet1_1.fp16.pth", "squeezenet1_1.fp16.pth"),
        ),
        ("resnet18", "resnet18-f37072fd.pth", ()),
        ("resnet34", "resnet34-b627a593.pth", ()),
        ("resnet50", "resnet50-0676ba61.pth", ()),
        ("resnet101", "resnet101-63fe2227.pth", ()),
    )
}

# The encoder that reaches furthest; trained to give VGG-19's features at all five depths.
WCT16X = PublishedWeights(
    of="wct16x",
    url=f"{_WCT}/5SE.pth",
    sha256="9417c34d0d8d621bc6af78be745f1b8d30f5f210efa01e50655c60eb3770816b",
    paths=("wct16x/5SE.pth",),
)

LPIPS_HEADS: Mapping[str, PublishedWeights] = {
    trunk: PublishedWeights(
        of=f"lpips {trunk}",
        url=f"{_LPIPS}/{trunk}.pth",
        sha256=sha256,
        paths=(f"lpips_lin_v0.1/{trunk}.pth",),
    )
    for trunk, sha256 in (
        ("alex", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),
        ("vgg", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"),
        ("squeeze", "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76"),
    )
}

DISTS_WEIGHTS = PublishedWeights(
    of="dists",
    url=f"{_TORCHMETRICS}/functional/image/dists_models/weights.pt",
    sha256="f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
    paths=("dists/weights.pt", "dists_weights.pt"),
)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The named tensors of a .safetensors file, else of one of PyTorch's, on the CPU, floating point ones in float32.

    Only plain weights are read, never code. What wraps them ("model", "state_dict") is taken off.
    Raises VidpercError for a file that cannot be read or holds something else.
    """
    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file  # pyright: ignore[reportUnknownVariableType]

            read: object = load_file(path, device="cpu")
        else:
            read = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise VidpercError(f"{path}: cannot be read as weights ({_short(error)}); get it again") from error
    except Exception as error:
        if type(error).__module__.startswith("safetensors"):  # its errors are of no class of Python's
            raise VidpercError(f"{path}: cannot be read as weights ({_short(error)}); get it again") from error
        raise
    if not isinstance(read, dict):
        raise VidpercError(f"{path}: got a {type(read).__name__}, wanted a dictionary of weights; get it again")
    found = cast("dict[str, object]", read)
    inner = next((found[key] for key in ("model", "state_dict") if isinstance(found.get(key), dict)), found)
    tensors = {key: value for key, value in cast("dict[str, object]", inner).items() if isinstance(value, Tensor)}
    return {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}


def fill(network: nn.Module, keys: Iterable[str], path: Path, *, of: str) -> None:
    """Gives these parameters and buffers of a network, by name, their values out of a file.

    network: may be built on the device "meta", as nothing of it is kept; then what is not named stays unusable.
    Raises VidpercError for a file that cannot be read, or that holds no such weights, or not numbers.
    """
    found, shapes = read_weights(path), {key: tuple(value.shape) for key, value in network.state_dict().items()}
    # Old files have no count of batches, and no network in eval reads it.
    taken = {key: found.get(key, torch.tensor(0) if key.endswith("num_batches_tracked") else None) for key in keys}
    for key, value in taken.items():
        got = "absent" if value is None else tuple(value.shape)
        if value is None or got != shapes[key]:
            raise VidpercError(
                f"{path}: holds no weights of {of}: {key} is {got}, wanted {shapes[key]}; name a file of {of}"
            )
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise VidpercError(f"{path}: holds weights that are not numbers ({key}); get it again")
    network.load_state_dict(taken, strict=False, assign=True)


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
