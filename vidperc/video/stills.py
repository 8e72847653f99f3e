"""Pictures in files: one, or all in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidperc.errors import VidpercError

SUFFIXES = (".png", ".jpg", ".jpeg")

Pixels = NDArray[np.uint8]  # (H,W,3)


def still_paths(folder: Path) -> list[Path]:
    """Every PNG and JPEG in a folder, in the order of their names.

    Raises VidpercError for a folder that is missing or without images.
    """
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES and not path.is_dir())
    if not files:
        got = "no images" if folder.is_dir() else "no such folder"
        raise VidpercError(f"{folder}: got {got}, wanted a folder of {', '.join(SUFFIXES)} files; check the path")
    return files


def read_still(path: Path) -> Pixels:
    """A picture as (H,W,3) uint8 RGB. Raises VidpercError for a file that is no image."""
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    # What Pillow raises for damaged files, for those of another kind, and for those beyond its limit of pixels.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        told = " ".join(str(error).split())
        raise VidpercError(f"{path}: cannot be read as an image ({told}); remove it, or fetch it again") from error
