"""Pairs of real frames with the flow between them, from the test data."""

import numpy as np
import pytest
import torch
from PIL import Image

from tests.clips import NO_TEST_DATA, TEST_DATA
from vidperc.motion.flo import read_flo

needs_data = pytest.mark.skipif(TEST_DATA is None, reason=NO_TEST_DATA)

# The two frames, and the flow from the first to the second.
PAIRS = {
    "chairs": ("flyingchairs/00001_img1.ppm", "flyingchairs/00001_img2.ppm", "flyingchairs/00001_flow.flo"),
    "whale": (
        "middlebury_rubberwhale/frame10.png",
        "middlebury_rubberwhale/frame11.png",
        "middlebury_rubberwhale/flow10.flo",
    ),
    "sintel": ("sintel_alley_1/frame_0001.png", "sintel_alley_1/frame_0002.png", "sintel_alley_1/frame_0001.flo"),
}


def picture(name: str) -> torch.Tensor:
    """A file below the folder of flows, (C,h,w) in [0,1]."""
    assert TEST_DATA is not None
    array = np.array(Image.open(TEST_DATA / "flow" / name))
    return torch.from_numpy(array[None] if array.ndim == 2 else array.transpose(2, 0, 1)).float() / 255


def flow_of(name: str) -> torch.Tensor:
    assert TEST_DATA is not None
    return read_flo(TEST_DATA / "flow" / name)


def pair(name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    one, other, flow = PAIRS[name]
    return picture(one), picture(other), flow_of(flow)


def endpoint_error(flow: torch.Tensor, truth: torch.Tensor) -> float:
    """The mean length of the difference in pixels, where the truth is known."""
    assert flow.shape == truth.shape
    return float((flow - truth).norm(dim=0).nanmean())


def textured(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """A smooth random picture, (1,h,w) in [0,1], that flow can be found on."""
    noise = torch.rand((1, 1, height // 8 + 2, width // 8 + 2), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, size=(height, width), mode="bicubic").clamp(0, 1)[0]


def moving(count: int, across: int, down: int, height: int = 96, width: int = 128, seed: int = 0) -> torch.Tensor:
    """A picture that moves by so many whole pixels a frame, (T,1,h,w)."""
    margin = count * max(abs(across), abs(down)) + 4
    large = textured(height + 2 * margin, width + 2 * margin, seed)
    frames = []
    for time in range(count):
        top, left = margin - time * down, margin - time * across
        frames.append(large[:, top : top + height, left : left + width])
    return torch.stack(frames)
