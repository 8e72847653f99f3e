"""Flow by dense inverse search: OpenCV's DIS, good and quick enough to run beside a network."""

from __future__ import annotations

from math import log2
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vidperc.motion.estimator import FlowEstimator, GreyFrame, flow_tensor, grey_frame
from vidperc.motion.table import Preset
from vidperc.ops.warp import follow_torch_threads

_PRESETS: dict[Preset, int] = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}


def open_dis(preset: Preset) -> FlowEstimator:
    """DIS on the frames' luma in 8 bits, on the CPU.

    preset: ultrafast stops at a quarter of the size; fast refines there; medium goes on to half the size.
    Source: T. Kroeger, R. Timofte, D. Dai, L. Van Gool, "Fast optical flow using dense inverse search", 2016
    (doi:10.1007/978-3-319-46493-0_29).
    """
    search = cv2.DISOpticalFlow.create(_PRESETS[preset])
    finest = search.getFinestScale()

    def flow(here: GreyFrame, there: GreyFrame) -> Tensor:
        follow_torch_threads()
        # A frame with fewer scales than that makes OpenCV choose other settings, and keep them for the frames after it.
        search.setFinestScale(min(finest, _coarsest_scale(*here.shape)))
        nothing: Any = None  # with a flow to begin with, the result would depend on the frames before
        field = search.calc(here, there, nothing)
        return flow_tensor(cast("NDArray[np.float32]", field))

    return FlowEstimator(name="dis", prepare=grey_frame, flow=flow)


def _coarsest_scale(height: int, width: int) -> int:
    """The number of halvings that OpenCV begins with: a quarter of the long side may be searched, patches must fit."""
    patch = 8
    return min(int(log2(max(height, width) / (4 * patch)) + 0.5), int(log2(min(height, width) // patch)))
