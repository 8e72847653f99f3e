"""Discriminators: networks that say of every patch of a picture, or of a clip, whether it looks true."""

from __future__ import annotations

from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Norm = Literal["spectral", "instance", "batch", "none"]
NORMS: tuple[Norm, ...] = ("spectral", "instance", "batch", "none")

_SLOPE = 0.2
_WIDEST = 8  # times the channels of the first layer


class PatchDiscriminator(nn.Module):
    """Logits for every patch of each frame; large for what looks true.

    Called with (N,T,3,H,W) in [0,1], floating point, it gives a list of one map (N*T,1,h,w). With three layers that
    halve, each logit sees 70x70 pixels; `field` says how many. Raises ValueError for sides below `smallest`.
    Source: P. Isola et al., "Image-to-image translation with conditional adversarial networks", 2017, section 3.2.2
    (doi:10.1109/CVPR.2017.632); spectral norm: T. Miyato et al., 2018.
    """

    def __init__(self, channels: int, layers: int, *, norm: Norm) -> None:
        super().__init__()
        self.layers = _patch_layers(channels, layers, norm)
        self.field = patch_field(layers)
        # Two more rows are lost by the layers that do not halve.
        self.smallest = 2**layers * 3

    def forward(self, clip: Tensor) -> list[Tensor]:
        _check(clip, self.smallest)
        return [self.layers(_centred(clip).flatten(0, 1))]  # (N*T, 1, h, w)


class MultiScaleDiscriminator(nn.Module):
    """Patch discriminators, each on half the size of the one before: (N,T,3,H,W) in [0,1] to a list of their maps.

    Source: T.-C. Wang et al., "High-resolution image synthesis and semantic manipulation with conditional GANs", 2018,
    section 3.2 (doi:10.1109/CVPR.2018.00917).
    """

    def __init__(self, channels: int, layers: int, scales: int, *, norm: Norm) -> None:
        super().__init__()
        self.scales = nn.ModuleList(_patch_layers(channels, layers, norm) for _ in range(scales))
        self.smallest = 2**layers * 3 * 2 ** (scales - 1)

    def forward(self, clip: Tensor) -> list[Tensor]:
        _check(clip, self.smallest)
        frames, maps = _centred(clip).flatten(0, 1), list[Tensor]()  # (N*T, 3, H, W)
        for place, layers in enumerate(self.scales):
            if place:
                frames = F.avg_pool2d(frames, 3, stride=2, padding=1, count_include_pad=False)
            maps.append(layers(frames))
        return maps


class TemporalDiscriminator(nn.Module):
    """Logits for every patch and moment of clips: (N,T,3,H,W) in [0,1] to a list of one map (N,1,T,h,w).

    The layers of a patch discriminator, each of which sees three frames too: movement is judged, not pictures alone.
    Beyond the first and the last frame there are zeros. Raises ValueError for a clip of one frame.
    """

    def __init__(self, channels: int, layers: int, *, norm: Norm) -> None:
        super().__init__()
        self.layers = _patch_layers(channels, layers, norm, frames=3)
        self.field = patch_field(layers)
        self.smallest = 2**layers * 3

    def forward(self, clip: Tensor) -> list[Tensor]:
        _check(clip, self.smallest)
        if clip.shape[1] < 2:
            raise ValueError(f"discriminator: got a clip of {clip.shape[1]} frame, wanted at least 2 frames")
        return [self.layers(_centred(clip).transpose(1, 2))]  # (N, 1, T, h, w)


def patch_discriminator(channels: int = 64, layers: int = 3, *, norm: Norm = "spectral") -> PatchDiscriminator:
    """One of random weights, drawn from N(0, 0.02) as pix2pix does."""
    return cast("PatchDiscriminator", _drawn(PatchDiscriminator(channels, layers, norm=norm)))


def multi_scale_discriminator(
    channels: int = 64, layers: int = 3, scales: int = 3, *, norm: Norm = "spectral"
) -> MultiScaleDiscriminator:
    """One of random weights, as `patch_discriminator`."""
    return cast("MultiScaleDiscriminator", _drawn(MultiScaleDiscriminator(channels, layers, scales, norm=norm)))


def temporal_discriminator(channels: int = 64, layers: int = 3, *, norm: Norm = "spectral") -> TemporalDiscriminator:
    """One of random weights, as `patch_discriminator`."""
    return cast("TemporalDiscriminator", _drawn(TemporalDiscriminator(channels, layers, norm=norm)))


def patch_field(layers: int) -> int:
    """How many pixels across and down one logit sees: 4x4 kernels, `layers` of them of stride 2, two of stride 1."""
    field = 1 + 3 + 3
    for _ in range(layers):
        field = 2 * field + 2
    return field


def _patch_layers(channels: int, layers: int, norm: Norm, *, frames: int = 0) -> nn.Sequential:
    """The layers of a patch discriminator; 3D ones that see so many frames, if any."""
    widths = [channels * min(2**place, _WIDEST) for place in range(layers + 1)]
    steps = [2] * layers + [1]
    built: list[nn.Module] = []
    before = 3
    for place, (width, step) in enumerate(zip(widths, steps, strict=True)):
        normed: Norm = norm if place or norm == "spectral" else "none"
        built += _layer(before, width, step, normed, frames)
        built.append(nn.LeakyReLU(_SLOPE))
        before = width
    return nn.Sequential(*built, *_layer(before, 1, 1, "spectral" if norm == "spectral" else "none", frames))


def _layer(before: int, width: int, step: int, norm: Norm, frames: int) -> list[nn.Module]:
    bias = norm in ("spectral", "none")  # the others take away the mean
    if frames:
        convolution: nn.Module = nn.Conv3d(
            before, width, (frames, 4, 4), stride=(1, step, step), padding=(frames // 2, 1, 1), bias=bias
        )
    else:
        convolution = nn.Conv2d(before, width, 4, stride=step, padding=1, bias=bias)
    match norm:
        case "spectral":
            return [spectral_norm(convolution)]
        case "instance":
            return [convolution, (nn.InstanceNorm3d if frames else nn.InstanceNorm2d)(width, affine=True)]
        case "batch":
            return [convolution, (nn.BatchNorm3d if frames else nn.BatchNorm2d)(width)]
        case "none":
            return [convolution]


def _drawn(network: nn.Module) -> nn.Module:
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d)):
                # Of a spectral norm only the direction counts, which the plain way has drawn well.
                if not hasattr(module, "parametrizations"):
                    nn.init.normal_(module.weight, 0, 0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    return network


def _centred(clip: Tensor) -> Tensor:
    return clip * 2 - 1


def _check(clip: Tensor, smallest: int) -> None:
    if clip.ndim != 5 or clip.shape[2] != 3 or not clip.is_floating_point():
        raise ValueError(f"discriminator: got {tuple(clip.shape)} {clip.dtype}, wanted (N,T,3,H,W) floats")
    if min(clip.shape[-2:]) < smallest:
        size = f"{clip.shape[-1]}x{clip.shape[-2]}"
        raise ValueError(f"discriminator: got {size}, wanted sides of at least {smallest} px")
