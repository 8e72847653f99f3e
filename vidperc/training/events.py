"""Event files for TensorBoard, where they are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidperc.errors import VidpercError

Pixels = NDArray[np.uint8]  # (H,W,3) RGB


class Events:
    """Writes scalars and pictures into a folder; what another run wrote from a step on is hidden.

    Raises VidpercError when the package tensorboard is missing.
    """

    def __init__(self, folder: Path) -> None:
        try:
            importlib.import_module("tensorboard")  # an extra, which type checkers need not find
        except ImportError as error:
            raise VidpercError(
                "--tensorboard: wanted the package tensorboard; pip install 'vidperc[tensorboard]'"
            ) from error
        self._folder = folder
        self._writer: Any = None

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add these values. Raises OSError where the file cannot be written."""
        writer = self._open(step)
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    def pictures(self, values: Mapping[str, Pixels], step: int) -> None:
        """Add these pictures. Raises OSError where the file cannot be written."""
        writer = self._open(step)
        for name, value in values.items():
            writer.add_image(name, value, step, dataformats="HWC")

    def flush(self) -> None:
        """Bring to the disk what was added. Raises OSError."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Raises OSError where the rest cannot be written."""
        if self._writer is not None:
            self._writer.close()

    def _open(self, step: int) -> Any:
        if self._writer is None:
            module = importlib.import_module("torch.utils.tensorboard")
            self._writer = module.SummaryWriter(str(self._folder), purge_step=step)
        return self._writer
