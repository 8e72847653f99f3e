"""Flow by dense inverse search: OpenCV's DIS, good and quick enough to run beside a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vidperc.motion.estimator import FlowEstimator, GreyFrame, flow_tensor, grey_frame
from vidperc.motion.table import Preset
from vidperc.ops.warp import follow_torch_threads

_PATCH = 8  # the side that OpenCV has fast code for, and its default


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """finest: how often the frame is halved for the last search. stride: pixels from patch to patch. descents: steps of
    a patch at most. refinements: rounds of variational refinement."""

    finest: int
    stride: int
    descents: int
    refinements: int


_SETTINGS: Mapping[Preset, _Settings] = {
    "ultrafast": _Settings(finest=2, stride=4, descents=12, refinements=0),
    "fast": _Settings(finest=2, stride=4, descents=16, refinements=5),
    "balanced": _Settings(finest=1, stride=5, descents=16, refinements=2),
    "medium": _Settings(finest=1, stride=3, descents=25, refinements=5),
}


def open_dis(preset: Preset) -> FlowEstimator:
    """DIS on the frames' luma in 8 bits, on the CPU.

    preset: ultrafast and fast end at a quarter of the size, balanced and medium at half of it. All but balanced are
    OpenCV's; balanced has fewer patches and less refinement than medium, for less than half the cost (docs/motion.md).
    Source: T. Kroeger, R. Timofte, D. Dai, L. Van Gool, "Fast optical flow using dense inverse search", 2016
    (doi:10.1007/978-3-319-46493-0_29).
    """
    settings = _SETTINGS[preset]
    search = cv2.DISOpticalFlow.create()
    search.setPatchStride(settings.stride)
    search.setGradientDescentIterations(settings.descents)
    search.setVariationalRefinementIterations(settings.refinements)

    def flow(here: GreyFrame, there: GreyFrame) -> Tensor:
        follow_torch_threads()
        # A frame with fewer scales than that makes OpenCV choose other settings, and keep them for the frames after it.
        search.setFinestScale(min(settings.finest, _coarsest_scale(*here.shape)))
        nothing: Any = None  # with a flow to begin with, the result would depend on the frames before
        field = search.calc(here, there, nothing)
        return flow_tensor(cast("NDArray[np.float32]", field))

    return FlowEstimator(name="dis", prepare=grey_frame, flow=flow)


def _coarsest_scale(height: int, width: int) -> int:
    """The number of halvings that OpenCV begins with: a quarter of the long side may be searched, patches must fit."""
    return min(int(log2(max(height, width) / (4 * _PATCH)) + 0.5), int(log2(min(height, width) // _PATCH)))
