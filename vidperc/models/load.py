"""Loads a network onto its device, ready to be called with frames."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.models.between import read_between
from vidperc.models.card import ModelCard
from vidperc.models.luma import RunningLuma
from vidperc.models.recurrent import Before, RunningRecurrent
from vidperc.models.weights import LumaNetwork, Network, RecurrentNetwork, read_network
from vidperc.models.zoo import find_card, weights_path
from vidperc.ops.color import rgb_luma
from vidperc.ops.resize import Kernel, resize
from vidperc.ops.tiles import OVERLAP_WITHOUT_REACH, through_tiles
from vidperc.placement import Placement

# Up to 20480 numbers torch convolves one picture on the CPU with another kernel, whose sums round differently
# (ConvParams::use_mkldnn in ATen's Convolution.cpp). Tiles of RGB that are larger round as the whole frame does.
_STEADY_PIXELS = 20480 // 3 + 1

_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


# A frame (1,C,h,w), flow and visible, and what the frame before left, to the enlarged frame and what that leaves.
Follow = Callable[[Tensor, Tensor, Tensor, Before | None], tuple[Tensor, Before]]


@dataclass(frozen=True)
class Model:
    """A network on its device."""

    card: ModelCard
    _enlarge: Callable[[Tensor], Tensor]
    _follow: Follow | None = None

    def __call__(self, frames: Tensor) -> Tensor:
        """The frames as the network makes them.

        frames: (T,3,h,w) float32 RGB, nominal [0,1], on any device, or (T,1,h,w) luma where the card says so.
        Returns (T,C,h*scale,w*scale) float32 on the placement's device, contiguous, not clamped, without gradients.
        A frame's result does not depend on the others; on the CPU not by a bit. A recurrent network takes each for the
        first of a shot.
        Raises ValueError for another shape or type.
        """
        self._check(frames)
        with torch.inference_mode():
            return self._enlarge(frames)

    def follow(self, frame: Tensor, flow: Tensor, visible: Tensor, before: Before | None) -> tuple[Tensor, Before]:
        """A frame as a recurrent network makes it after the one before, and what that leaves to the next.

        frame: (1,C,h,w) as a call takes them. flow: (1,2,h',w'), visible: (1,1,h',w'), float32 at any size, as
        `vidperc.clip.Motion` has them. before: what the frame before left, None at the first frame of a shot.
        Raises ValueError as a call does, and for a network that is not recurrent.
        """
        self._check(frame)
        if self._follow is None or len(frame) != 1:
            raise ValueError(f"{self.card.name}: got {len(frame)} frames to follow, wanted 1 and a recurrent network")
        with torch.inference_mode():
            return self._follow(frame, flow, visible, before)

    def _check(self, frames: Tensor) -> None:
        channels = (1, 3) if self.card.luma else (3,)
        if frames.ndim != 4 or frames.shape[1] not in channels or frames.dtype != torch.float32:
            raise ValueError(f"frames: got {tuple(frames.shape)} {frames.dtype}, wanted (T,3,h,w) float32")


def load_model(model: str, scale: int | None, placement: Placement, *, detail: float = 0.0) -> Model:
    """The network of this name or file, on the placement's device, with its precision and tiles.

    model, scale: as `find_card` takes them. detail: how far it is moved towards its perceptual twin, 0 to 1; above 0
    for networks that have one. It runs as one network, whatever the detail.
    Networks compute in placement.precision, but the picture stays float32: the input, what is added to it, and the
    network's last layer. Sides that the network does not take are padded by reflection and cut off again.
    Tiles overlap by the card's reach, or by OVERLAP_WITHOUT_REACH where it was not found. With a reach, and with
    activations of straight pieces (ReLU, leaky, PReLU), they give the bits of the whole frame on an x86 CPU. Smooth
    activations (SiLU, GELU) differ by about 1e-6: torch computes the last few numbers of a tensor by another
    exponential. Networks without a reach differ near the tiles' borders by what they see beyond the overlap.

    Raises VidpercError as `find_card` does, and when the network does not work in that precision.
    """
    card = find_card(model, scale)
    device = torch.device(placement.device)
    if not card.sha256:
        return Model(card, _resampler(card, device))
    _check_precision(card, placement)
    path = weights_path(model)
    network = read_between(path, detail) if detail else read_network(path)
    if isinstance(network, LumaNetwork):
        return Model(
            replace(card, detail=detail, twin_sha256=network.card.twin_sha256),
            _luma_renderer(network, placement, device),
        )
    if isinstance(network, RecurrentNetwork):
        return _recurrent_model(network, placement, device)
    return Model(card, _renderer(network.copy(), placement, device))


def _resampler(card: ModelCard, device: torch.device) -> Callable[[Tensor], Tensor]:
    kernel: Kernel = "lanczos" if card.name == "lanczos" else "bicubic"

    def enlarge(frames: Tensor) -> Tensor:
        height, width = frames.shape[-2:]
        return resize(frames.to(device), (height * card.scale, width * card.scale), kernel)

    return enlarge


def _luma_renderer(network: LumaNetwork, placement: Placement, device: torch.device) -> Callable[[Tensor], Tensor]:
    running = RunningLuma(network.shape, network.weights, precision=_TYPES[placement.precision], device=device)
    scale = network.card.scale

    def enlarge(frames: Tensor) -> Tensor:
        height, width = frames.shape[-2:]
        made: list[Tensor] = []
        frames = frames.to(device)
        for place in range(len(frames)):
            frame = frames[place : place + 1]
            enlarged = resize(frame, (height * scale, width * scale), "bicubic")
            if frame.shape[1] == 1:
                running.add_to(enlarged, frame, tile=placement.tile)
            else:
                details = torch.zeros_like(enlarged[:, :1])
                running.add_to(details, rgb_luma(frame), tile=placement.tile)
                enlarged += details
            made.append(enlarged)
        return made[0] if len(made) == 1 else torch.cat(made)

    return enlarge


def _recurrent_model(network: RecurrentNetwork, placement: Placement, device: torch.device) -> Model:
    running = RunningRecurrent(network.shape, network.weights, precision=_TYPES[placement.precision], device=device)
    scale = network.card.scale

    def follow(frame: Tensor, flow: Tensor, visible: Tensor, before: Before | None) -> tuple[Tensor, Before]:
        frame, flow, visible = frame.to(device), flow.to(device), visible.to(device)
        height, width = frame.shape[-2:]
        enlarged = resize(frame, (height * scale, width * scale), "bicubic")
        grey = frame.shape[1] == 1
        luma, base = (frame, enlarged) if grey else (rgb_luma(frame), rgb_luma(enlarged))
        details, left = running.step(luma, base, flow, visible, before, tile=placement.tile)
        return enlarged.add_(details), left

    def enlarge(frames: Tensor) -> Tensor:
        nothing = frames.new_zeros((1, 2, 1, 1)), frames.new_zeros((1, 1, 1, 1))
        made = [follow(frames[place : place + 1], *nothing, None)[0] for place in range(len(frames))]
        return made[0] if len(made) == 1 else torch.cat(made)

    return Model(network.card, enlarge, follow)


def _check_precision(card: ModelCard, placement: Placement) -> None:
    safe = {"float32": True, "bfloat16": card.bfloat16_safe, "float16": card.half_safe}
    if not safe[placement.precision]:
        wanted = "float32 or bfloat16" if card.bfloat16_safe else "float32"
        raise VidpercError(
            f"{card.name}: {card.architecture} networks do not work in {placement.precision}, wanted {wanted}; "
            "use --precision float32"
        )


def _renderer(network: Network, placement: Placement, device: torch.device) -> Callable[[Tensor], Tensor]:
    card, precision = network.card, _TYPES[placement.precision]
    low = precision != torch.float32
    if low:
        _keep_last_layer_in_float32(network)
    # On the CPU this order is quicker (bfloat16 by seven times); a GPU's float32 kernels prefer the usual one.
    order = torch.channels_last if low or device.type == "cpu" else torch.contiguous_format
    network.layers.to(device).to(memory_format=order)  # pyright: ignore[reportCallIssue]
    tile = placement.tile if card.tileable and card.reach != 0 else 0
    minimum_pixels = _STEADY_PIXELS if device.type == "cpu" else 1

    def pass_through(part: Tensor) -> Tensor:
        return network(part.contiguous(memory_format=order))

    def enlarge(frames: Tensor) -> Tensor:
        frames = frames.to(device)
        count, _, height, width = frames.shape
        out = frames.new_empty((count, 3, height * card.scale, width * card.scale))
        # On the CPU a batch of 8 takes three times as long for each frame as a batch of 1.
        step = 1 if device.type == "cpu" else max(count, 1)
        for start in range(0, count, step):
            padded = _pad(frames[start : start + step], card)
            high, wide = padded.shape[-2:]
            whole = tile == 0 or high * wide <= minimum_pixels
            with torch.autocast(device.type, dtype=precision) if low else nullcontext():
                through_tiles(
                    padded,
                    pass_through,
                    out[start : start + step],
                    scale=card.scale,
                    tile=max(high, wide) if whole else tile,
                    overlap=OVERLAP_WITHOUT_REACH if card.reach is None else card.reach,
                    multiple_of=card.multiple_of,
                    minimum=card.minimum,
                    minimum_pixels=minimum_pixels,
                )
        return out

    return enlarge


def _pad(frames: Tensor, card: ModelCard) -> Tensor:
    """Frames (T,3,h,w) continued at the bottom and the right until the card's sides are met."""
    height, width = frames.shape[-2:]
    down = _side(height, card) - height
    right = _side(width, card) - width
    if not down and not right:
        return frames
    # Reflection has no more than side - 1 rows to give; very small frames repeat their last row after that.
    mirrored = min(down, height - 1), min(right, width - 1)
    frames = F.pad(frames, (0, mirrored[1], 0, mirrored[0]), mode="reflect")
    return F.pad(frames, (0, right - mirrored[1], 0, down - mirrored[0]), mode="replicate")


def _side(side: int, card: ModelCard) -> int:
    return -(-max(side, card.minimum) // card.multiple_of) * card.multiple_of


def _keep_last_layer_in_float32(network: Network) -> None:
    """Makes the last layer that runs compute in float32 under autocast.

    What it gives is the picture, or is added to it, and bfloat16's 8 bits of mantissa would show as bands.
    """
    ran: list[nn.Module] = []

    def note(layer: nn.Module, _inputs: object, _output: object) -> None:
        ran.append(layer)

    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    hooks = [layer.register_forward_hook(note) for layer in network.layers.modules() if isinstance(layer, kinds)]
    side = _side(16, network.card)
    with torch.inference_mode():
        network(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    last = ran[-1]
    plain = last.forward

    def forward(features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            return plain(features.float())

    last.forward = forward
