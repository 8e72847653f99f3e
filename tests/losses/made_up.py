"""Pictures, clips and small networks that tests of losses are made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidperc.clip import Motion


def pictures(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Random numbers well inside [0,1]."""
    made = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (0.1 + 0.8 * made).to(dtype)


def shifting(frames: int, across: int, down: int, *, height: int = 48, width: int = 64, seed: int = 0) -> Tensor:
    """A smooth picture in colour that moves by so many whole pixels a frame: (1,T,3,H,W)."""
    margin = frames * max(abs(across), abs(down)) + 4
    rough = torch.rand((1, 3, height // 6 + 4, width // 6 + 4), generator=torch.Generator().manual_seed(seed))
    large = F.interpolate(rough, size=(height + 2 * margin, width + 2 * margin), mode="bicubic").clamp(0, 1)
    cuts = [large[:, :, margin - t * down :, margin - t * across :][:, :, :height, :width] for t in range(frames)]
    return torch.stack(cuts, dim=1)


def known_motion(clip: Tensor, across: float, down: float) -> tuple[Motion, ...]:
    """The motion of clips made by `shifting`: back to where it was, and visible where that is inside."""
    count, frames, _, height, width = clip.shape
    flow = torch.zeros((frames, 2, height, width))
    flow[1:, 0], flow[1:, 1] = -across, -down
    x, y = torch.arange(width) - across, (torch.arange(height) - down)[:, None]
    inside = ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)).float()
    visible = inside.expand(frames, 1, height, width).clone()
    visible[0] = 0
    return (Motion(flow=flow, visible=visible),) * count


class TinyBackbone(nn.Module):
    """Two convolutions in place of a trained network, which counts how often it runs."""

    def __init__(self, layers: tuple[str, ...] = ("first", "second")) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.one = nn.Conv2d(3, 6, 3, stride=2, padding=1)
            self.two = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.requires_grad_(False)
        self.layers = layers
        self.strides = {"first": 2, "second": 4}
        self.runs = 0

    def forward(self, rgb: Tensor) -> dict[str, Tensor]:
        assert rgb.ndim == 4
        self.runs += 1
        first = F.softplus(self.one(rgb))
        found = {"first": first, "second": self.two(first)}
        return {layer: found[layer] for layer in self.layers}


class TinyVideoBackbone(nn.Module):
    """One convolution over space and time in place of a trained network."""

    def __init__(self, layers: tuple[str, ...] = ("stem",)) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.stem = nn.Conv3d(3, 5, 3, stride=(1, 2, 2), padding=1)
        self.requires_grad_(False)
        self.layers = layers
        self.runs = 0

    def forward(self, clip: Tensor) -> dict[str, Tensor]:
        assert clip.ndim == 5 and clip.shape[2] == 3
        self.runs += 1
        return {"stem": self.stem(clip.transpose(1, 2))}
