"""The motion of frames as they come, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

from vidperc.clip import Motion
from vidperc.motion.estimator import FlowEstimator
from vidperc.motion.occlusion import find_visible
from vidperc.motion.table import check_size, working_size
from vidperc.ops.warp import follow_torch_threads


def find_motion(shots: Iterable[tuple[Tensor, int]], estimator: FlowEstimator, *, size: int = 0) -> Iterator[Motion]:
    """The motion of frames that come in chunks: one Motion for each chunk, of its frames.

    shots: pairs of consecutive frames, (T,C,h,w) float32 in [0,1], RGB or luma, and the number of the shot that they
    are of. When the number changes, a new shot begins: nothing is looked up in the frame before.
    size: the short side in pixels that the flow is computed at, and has; never more than the frames have. 0 for theirs.
    The motion is on the frames' device. It does not depend on how the frames are cut into chunks, and a frame's motion
    depends on it and the frame before it alone.
    Raises VidpercError when frames are too small for the estimator.
    """
    before: Any = None
    last: tuple[int, torch.Size] | None = None
    for frames, shot in shots:
        check_size(estimator.name, frames.shape[-1], frames.shape[-2], size)
        flows: list[Tensor] = []
        masks: list[Tensor] = []
        for frame in frames:
            here = estimator.prepare(shrunk(frame, size))
            if last == (shot, frame.shape):
                flow = estimator.flow(here, before).to(frame.device)[None]  # (1, 2, h, w)
                mask = find_visible(flow, estimator.flow(before, here).to(frame.device)[None])
            else:
                width, height = working_size(frame.shape[-1], frame.shape[-2], size)
                flow, mask = frame.new_zeros((1, 2, height, width)), frame.new_zeros((1, 1, height, width))
            flows.append(flow)
            masks.append(mask)
            before, last = here, (shot, frame.shape)
        yield Motion(flow=_joined(flows), visible=_joined(masks))


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def shrunk(frame: Tensor, size: int) -> Tensor:
    """A frame (C,h,w) with a short side of `size` pixels, means of what they cover; itself if it is no larger."""
    height, width = frame.shape[-2:]
    wide, high = working_size(width, height, size)
    if (wide, high) == (width, height):
        return frame
    if frame.device.type != "cpu":
        made = F.interpolate(frame[None], size=(high, wide), mode="bilinear", align_corners=False, antialias=True)
        return made[0]
    follow_torch_threads()
    out = torch.empty((frame.shape[0], high, wide))
    for plane, into in zip(frame, out, strict=True):
        cv2.resize(plane.contiguous().numpy(), (wide, high), dst=into.numpy(), interpolation=cv2.INTER_AREA)
    return out
