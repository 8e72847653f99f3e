"""Flow by polynomial expansion: OpenCV's Farneback, which the metric tOF is defined with."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vidperc.motion.estimator import FlowEstimator, GreyFrame, flow_tensor, grey_frame
from vidperc.ops.warp import follow_torch_threads


def open_farneback() -> FlowEstimator:
    """Farneback's flow on the frames' luma in 8 bits, on the CPU.

    Three levels of half the size each, windows of 15 px, 3 iterations, polynomials over 5 px with sigma 1.2 px.
    Source: G. Farneback, "Two-frame motion estimation based on polynomial expansion", 2003
    (doi:10.1007/3-540-45103-X_50).
    """

    def flow(here: GreyFrame, there: GreyFrame) -> Tensor:
        follow_torch_threads()
        nothing: Any = None
        field = cv2.calcOpticalFlowFarneback(
            here,
            there,
            nothing,
            pyr_scale=0.5,
            levels=3,
            winsize=15,
            iterations=3,
            poly_n=5,
            poly_sigma=1.2,
            flags=0,
        )
        return flow_tensor(cast("NDArray[np.float32]", field))

    return FlowEstimator(name="farneback", prepare=grey_frame, flow=flow)
