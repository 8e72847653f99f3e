"""Flow in .flo files, as the Middlebury benchmark has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidperc.errors import VidpercError

_MAGIC = b"PIEH"  # 202021.25 in float32, low bits first
_UNKNOWN = 1e9  # and above: nobody knows where this pixel went


def read_flo(path: Path) -> Tensor:
    """The flow in a .flo file, (2,h,w) float32 in pixels, across and then down; not a number where it is unknown.

    Raises VidpercError for a file that is no flow or not whole.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VidpercError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if content[:4] != _MAGIC or len(content) < 12:
        raise VidpercError(f"{path}: begins with {content[:4]!r}, wanted a .flo file, {_MAGIC!r}; name another file")
    width, height = (int(side) for side in np.frombuffer(content, "<i4", 2, 4))
    if min(width, height) < 1 or len(content) != 12 + 8 * width * height:
        raise VidpercError(f"{path}: {len(content)} bytes for {width}x{height} vectors; get the file again")
    field = np.frombuffer(content, "<f4", offset=12).reshape(height, width, 2)
    flow = torch.from_numpy(field.astype(np.float32)).permute(2, 0, 1).contiguous()  # (2, h, w)
    unknown = (flow.abs() >= _UNKNOWN).any(dim=0)
    return flow.masked_fill_(unknown, torch.nan)
