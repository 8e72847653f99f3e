"""Reads a file of weights, without running anything that it holds, into a network and its card."""

from __future__ import annotations

import functools
import hashlib
import re
import warnings
import zipfile
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard, cast

import torch
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.models.card import ModelCard
from vidperc.models.luma import LumaShape
from vidperc.models.own_card import CONSISTENCY, own_card
from vidperc.models.reach import find_reach
from vidperc.models.recurrent import RecurrentShape

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor  # pyright: ignore[reportMissingTypeStubs]

_LICENCE_KEYS = ("license", "licence", "modelspec.license")
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_ANOTHER_COPY = "download it again, or name another file"


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network as its file describes it, and its card.

    It is read once and shared: use `copy` before moving or changing its layers.
    """

    card: ModelCard
    descriptor: ImageModelDescriptor[nn.Module]

    @property
    def layers(self) -> nn.Module:
        return self.descriptor.model

    def copy(self) -> Network:
        return Network(card=self.card, descriptor=deepcopy(self.descriptor))

    def __call__(self, image: Tensor) -> Tensor:
        """(1,3,h,w) to (1,3,h*scale,w*scale) of the layers' type and device; h and w as the card asks, no clamping."""
        # The descriptor's public call clamps to [0,1], while the picture is clamped only where the program puts it
        # out; and calling the bare layers fails for architectures that return more than the picture.
        run = cast("Callable[[nn.Module, Tensor], Tensor]", self.descriptor._call_fn)  # pyright: ignore
        return run(self.descriptor.model, image)


@dataclass(frozen=True, kw_only=True)
class LumaNetwork:
    """A network of our own as its file describes it; `weights` as `models.luma.RunningLuma` takes them."""

    card: ModelCard
    shape: LumaShape
    weights: dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class RecurrentNetwork:
    """A recurrent network of our own as its file describes it; `weights` as `RunningRecurrent` takes them."""

    card: ModelCard
    shape: RecurrentShape
    weights: dict[str, Tensor]


def read_network(path: Path) -> Network | LumaNetwork | RecurrentNetwork:
    """The network in a .safetensors file, or in a .pth, .pt or .ckpt file that holds plain weights.

    Reading is cached by path, time and size of the file. Importing the list of architectures takes seconds.
    Raises VidpercError for a file that cannot be read, is no plain weights, or holds no network that takes one RGB
    picture and gives one.
    """
    stat = path.stat()
    return _read_network(path, stat.st_mtime_ns, stat.st_size)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors in a file of weights, of any network, on the CPU: floating point ones in float32.

    path: a .safetensors file, else one of PyTorch's. What wraps them is taken off, and the prefix "module.".
    Raises VidpercError for a file that cannot be read or holds no plain weights.
    """
    read = _read_safetensors(path)[0] if path.suffix.lower() == ".safetensors" else _read_pth(path)
    return {key: value for key, value in _plain_weights(path.name, read).items() if isinstance(value, Tensor)}


@functools.lru_cache(maxsize=2)
def _read_network(path: Path, _mtime_ns: int, _size: int) -> Network | LumaNetwork | RecurrentNetwork:
    card = own_card(path)
    if card is not None:
        return _own_network(path, card)
    if path.suffix.lower() == ".safetensors":
        weights, licence = _read_safetensors(path)
    else:
        weights, licence = _read_pth(path), "unknown"
    descriptor = _build(path.name, weights)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    size = descriptor.size_requirements
    card = ModelCard(
        name=path.stem,
        architecture=descriptor.architecture.name,
        scale=descriptor.scale,
        summary=", ".join([descriptor.purpose, *descriptor.tags]),
        parameters=sum(parameter.numel() for parameter in descriptor.model.parameters()),
        multiple_of=size.multiple_of,
        minimum=max(size.minimum, 1),
        half_safe=descriptor.supports_half,
        bfloat16_safe=descriptor.supports_bfloat16,
        tileable=descriptor.tiling.name == "SUPPORTED" and not size.square,
        licence=licence,
        source=path.name,
        sha256=sha256,
    )
    network = Network(card=card, descriptor=descriptor)
    return replace(network, card=replace(card, reach=_reach(network))) if card.tileable else network


def _own_network(path: Path, card: ModelCard) -> LumaNetwork | RecurrentNetwork:
    if card.architecture == CONSISTENCY:
        raise VidpercError(f"{path.name}: holds videos steady and enlarges nothing; name a network that enlarges")
    tensors, _ = _read_safetensors(path)
    try:
        channels, depth = tensors["0.weight"].shape[0], len(tensors) // 2 - (3 if card.recurrent else 2)
    except KeyError as error:
        raise VidpercError(
            f"{path.name}: lacks the layer 0.weight of a {card.architecture} network; {_ANOTHER_COPY}"
        ) from error
    if card.recurrent:
        shape = RecurrentShape(scale=card.scale, channels=channels, depth=depth, state=card.state)
    else:
        shape = LumaShape(scale=card.scale, channels=channels, depth=depth)
    wanted = {f"{place}.weight": (o, i, 3, 3) for place, (i, o) in enumerate(shape.widths())}
    wanted |= {f"{place}.bias": (o,) for place, (_, o) in enumerate(shape.widths())}
    if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != wanted:
        raise VidpercError(
            f"{path.name}: its layers are not those of a {card.architecture} network of scale {card.scale}, or of an "
            "earlier version; train it again, or name another file"
        )
    weights = {name: tensor.float() for name, tensor in tensors.items()}
    if any(bool(tensor.isnan().any()) for tensor in weights.values()):
        raise VidpercError(f"{path.name}: holds weights that are not numbers (NaN); {_ANOTHER_COPY}")
    card = replace(card, parameters=shape.parameters, reach=shape.reach)
    if isinstance(shape, RecurrentShape):
        return RecurrentNetwork(card=card, shape=shape, weights=weights)
    return LumaNetwork(card=card, shape=shape, weights=weights)


def _reach(network: Network) -> int | None:
    probe = network.copy()
    probe.layers.double()
    card = network.card
    return find_reach(probe.layers, probe, scale=card.scale, multiple_of=card.multiple_of, minimum=card.minimum)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], str]:
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file  # pyright: ignore[reportUnknownVariableType]

    try:
        with safe_open(path, framework="pt", device="cpu") as file:  # pyright: ignore[reportUnknownVariableType]
            facts = cast("dict[str, str]", file.metadata() or {})  # pyright: ignore[reportUnknownMemberType]
        weights = load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise VidpercError(f"{path.name}: not a whole .safetensors file ({_short(error)}); {_ANOTHER_COPY}") from error
    licence = next((facts[key] for key in _LICENCE_KEYS if facts.get(key)), "unknown")
    return weights, " ".join(licence.split())[:100]


def _read_pth(path: Path) -> object:
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise VidpercError(f"{path.name}: cannot be read ({_short(error)}); {_ANOTHER_COPY}") from error
    if head != _ZIP and not head.startswith(_PICKLE):
        got = "an empty file" if not head else f"one that begins with {head!r}"
        raise VidpercError(f"{path.name}: not a file of PyTorch weights, got {got}; {_ANOTHER_COPY}")
    try:
        if head == _ZIP and _is_torchscript(path):
            raise VidpercError(
                f"{path.name}: a TorchScript program, which is not run; wanted plain weights: "
                "save its state_dict() as .safetensors or .pth, or name another file"
            )
        # Never without weights_only: unpickling runs whatever code the file names.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a pickle is of another age; what is wrong with it is raised
            return torch.load(path, map_location="cpu", weights_only=True)
    except (VidpercError, MemoryError):
        raise
    except Exception as error:  # what a reader meets in arbitrary bytes has no common class: KeyError, EOFError, ...
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        if found:
            raise VidpercError(
                f"{path.name}: holds Python objects ({found[1]}) besides weights; none was run; wanted a plain "
                "dictionary of tensors: save it again with torch.save(model.state_dict(), ...), or name another file"
            ) from error
        raise VidpercError(f"{path.name}: damaged or no plain weights ({_short(error)}); {_ANOTHER_COPY}") from error


def _is_torchscript(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name.rsplit("/", 1)[-1] == "constants.pkl" for name in archive.namelist())


def _plain_weights(name: str, read: object) -> dict[str, object]:
    """The tensors by name, out of their wrappers, in float32 where they are floating point."""
    from spandrel import canonicalize_state_dict  # pyright: ignore[reportMissingTypeStubs]

    try:
        weights = canonicalize_state_dict(cast("dict[str, object]", read)) if isinstance(read, dict) else {}
    except AttributeError:  # it takes every name for text; refused below, as nothing was found
        weights = {}
    tensors = [value for value in weights.values() if isinstance(value, Tensor)]
    # Architectures count their layers by the highest number in a name; ten thousand is none they would reach.
    if not tensors or any(re.search(r"\d{5}", key) for key in weights):
        got = f"a dictionary with {len(tensors)} tensors" if isinstance(read, dict) else f"a {type(read).__name__}"
        raise VidpercError(f"{name}: holds no network's weights, got {got}; wanted named tensors; {_ANOTHER_COPY}")
    if any(tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized for tensor in tensors):
        raise VidpercError(f"{name}: holds sparse or quantised weights, wanted plain numbers; {_ANOTHER_COPY}")
    plain: dict[str, object] = {key: value.float() if _is_floating(value) else value for key, value in weights.items()}
    if any(bool(value.isnan().any()) for value in plain.values() if _is_floating(value)):
        raise VidpercError(f"{name}: holds weights that are not numbers (NaN); {_ANOTHER_COPY}")
    return plain


def _is_floating(value: object) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.is_floating_point()


def _build(name: str, read: object) -> ImageModelDescriptor[nn.Module]:
    from spandrel import (  # pyright: ignore[reportMissingTypeStubs]
        ImageModelDescriptor,
        ModelLoader,
        UnsupportedModelError,
    )

    weights = _plain_weights(name, read)
    known = "wanted a super-resolution or restoration network that spandrel knows (Compact, ESRGAN, SPAN, SwinIR, ...)"
    try:
        descriptor = ModelLoader().load_from_state_dict(weights)
    except UnsupportedModelError as error:
        keys = ", ".join(list(weights)[:2])
        raise VidpercError(
            f"{name}: no known architecture has these {len(weights)} weights ({keys}, ...); {known}"
        ) from error
    except Exception as error:  # weights that fit no network fail in each architecture's own way: KeyError, ...
        raise VidpercError(f"{name}: its weights do not fit together ({_short(error)}); {known}") from error
    if not isinstance(descriptor, ImageModelDescriptor):
        raise VidpercError(f"{name}: the network fills masked holes ({descriptor.architecture.name}); {known}")
    if descriptor.purpose == "FaceSR":
        raise VidpercError(
            f"{name}: the network restores a single cut-out face ({descriptor.architecture.name}); {known}"
        )
    channels = (descriptor.input_channels, descriptor.output_channels)
    if channels != (3, 3):
        raise VidpercError(
            f"{name}: the network takes {channels[0]} colour channels and gives {channels[1]}, wanted 3 and 3 (RGB); "
            "name a network for RGB pictures"
        )
    return descriptor.eval()


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:120]}" if text else type(error).__name__
