"""A flow estimator, and the grey 8-bit frames that the classical ones take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidperc.motion.table import DEFAULT_PRESET, EstimatorName, Preset
from vidperc.ops.color import rgb_luma

GreyFrame = NDArray[np.uint8]  # (h, w)


@dataclass(frozen=True, kw_only=True)
class FlowEstimator:
    """Finds where the pixels of one frame are in another.

    prepare: of a frame (C,h,w) float32 in [0,1], RGB or luma, what `flow` takes; done once for each frame.
    flow: of two such frames, the place there of every pixel here: (2,h,w) float32 in pixels, across and then down,
        from each pixel of here. Equal frames give equal flow, whatever came before.
    """

    name: EstimatorName
    prepare: Callable[[Tensor], Any]
    flow: Callable[[Any, Any], Tensor]


def open_estimator(
    name: EstimatorName, *, preset: Preset | None = None, weights: str | None = None, device: str = "cpu"
) -> FlowEstimator:
    """An estimator of the table ESTIMATORS, ready to be used.

    preset: of dis, the dearer the finer; None for the usual one. weights: of a RAFT, the path of a file; None for those
    of torchvision, which are fetched when they are not there. device: where a RAFT runs; the others run on the CPU.
    Raises VidpercError for weights that cannot be had or do not fit.
    """
    if name == "dis":
        from vidperc.motion.dis import open_dis

        return open_dis(preset or DEFAULT_PRESET)
    if name == "farneback":
        from vidperc.motion.farneback import open_farneback

        return open_farneback()
    from vidperc.motion.raft import open_raft

    return open_raft(name, weights, device)


def grey_frame(frame: Tensor) -> GreyFrame:
    """The luma of a frame (C,h,w) in [0,1], RGB or luma, in 8 bits."""
    luma = (rgb_luma(frame) if frame.shape[0] == 3 else frame)[0].detach().cpu().contiguous().numpy()
    # What is blacker than black is cut first: the conversion takes absolute values, and saturates at white alone.
    _, luma = cv2.threshold(luma, 0, 0, cv2.THRESH_TOZERO)
    return cast("GreyFrame", cv2.convertScaleAbs(luma, alpha=255))


def flow_tensor(field: NDArray[np.float32]) -> Tensor:
    """OpenCV's (h,w,2) as (2,h,w)."""
    return torch.from_numpy(field).permute(2, 0, 1).contiguous()  # pyright: ignore[reportUnknownMemberType]
