"""How much compression has done to a video: what decides between networks for clean and for compressed pictures."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidperc.video.images import is_images
from vidperc.video.index import FrameIndex
from vidperc.video.opening import open_input, video_stream
from vidperc.video.probe import VideoInfo
from vidperc.video.source import DECODE_ERRORS, read_frames

# Codecs that keep what they are given, or nearly all of it.
CLEAN_CODECS = frozenset({
    "ffv1", "prores", "dnxhd", "cfhd", "huffyuv", "ffvhuff", "utvideo", "magicyuv", "png", "apng", "qtrle", "rawvideo",
    "wrapped_avframe", "v210", "v410", "r210", "gif", "lagarith", "tiff", "bmp", "jpegls", "jpeg2000",
})  # fmt: skip

# Bits per pixel below which a codec's usual encoders leave visible traces in most pictures.
ENOUGH_BITS = {"h264": 0.11, "hevc": 0.07, "vp9": 0.07, "av1": 0.05, "vp8": 0.14}
ENOUGH_BITS_ELSEWHERE = 0.35  # older codecs, MPEG-2 and MPEG-4 among them

# Differences across the borders of 8x8 blocks over those inside them; 1 where no block shows.
VISIBLE_BLOCKS = 1.12

_LOOKS = 6
_PREDICTED = 3  # frames after a keyframe, where prediction has left its traces
_EDGE = 12.0  # larger differences are edges of the picture, not of blocks; in 8-bit codes


@dataclass(frozen=True)
class Compression:
    """What a look at a video found.

    bits_per_pixel: of the video stream; None where packets do not tell. blockiness: 1 where no blocks show.
    """

    codec: str
    bits_per_pixel: float | None
    blockiness: float

    @property
    def shows(self) -> bool:
        """Compression is likely to show once the picture is enlarged and sharpened."""
        if self.codec in CLEAN_CODECS:
            return False
        enough = ENOUGH_BITS.get(self.codec, ENOUGH_BITS_ELSEWHERE)
        few = self.bits_per_pixel is not None and self.bits_per_pixel < enough
        return few or self.blockiness > VISIBLE_BLOCKS

    def __str__(self) -> str:
        bits = "" if self.bits_per_pixel is None else f" at {self.bits_per_pixel:.3f} bits a pixel"
        return f"{self.codec}{bits}, blockiness {self.blockiness:.2f}"


def look_at_compression(path: Path, info: VideoInfo, index: FrameIndex) -> Compression:
    """Bits per pixel, and how much 8x8 blocks show in a few frames spread over the video.

    Raises VidpercError when the file cannot be read.
    """
    bits = 8 * sum(index.nbytes) / (len(index.nbytes) * info.width * info.height) if index.nbytes else None
    if info.codec in CLEAN_CODECS:
        return Compression(info.codec, bits, 1.0)
    found = [blockiness(luma) for luma in _looks(path, index)]
    return Compression(info.codec, bits, float(np.median(found)) if found else 1.0)


def blockiness(luma: NDArray[np.uint8]) -> float:
    """Mean difference across the borders of 8x8 blocks over the mean difference elsewhere, (H,W) in 8-bit codes.

    Large differences count as what the picture's own edges can be, so that those weigh no more.
    Source: after Z. Wang, A. Bovik, B. Evans, "Blind measurement of blocking artifacts in images", 2000.
    """
    at_border, inside = 0.0, 0.0
    for picture in (luma, luma.T):
        steps = np.minimum(np.abs(np.diff(picture.astype(np.float32), axis=1)), _EDGE).mean(axis=0)
        borders = np.arange(len(steps)) % 8 == 7
        if borders.any():
            at_border += float(steps[borders].mean())
            inside += float(steps[~borders].mean())
    return (at_border + 0.05) / (inside + 0.05)  # a flat picture has none


def _looks(path: Path, index: FrameIndex) -> list[NDArray[np.uint8]]:
    """Luma (H,W) of a frame shortly after each of a few keyframes."""
    places = [index.pts[len(index.pts) * place // _LOOKS] for place in range(_LOOKS)]
    keyframes = {before[-1] for pts in places if (before := index.keyframes_up_to(pts))}
    found: list[NDArray[np.uint8]] = []
    if is_images(path):
        shown = (next(read_frames(path, start=pts, stop=pts + 1)) for pts in sorted({*places}))
        return [np.asarray(decoded.frame.to_ndarray(format="gray"), dtype=np.uint8) for decoded in shown]
    with open_input(path) as container:
        stream = video_stream(container, path)
        for _, dts in sorted(keyframes):
            with suppress(*DECODE_ERRORS):
                container.seek(dts, stream=stream)
                frames = list(islice(container.decode(stream), _PREDICTED + 1))
                if frames:
                    found.append(np.asarray(frames[-1].to_ndarray(format="gray"), dtype=np.uint8))
    return found
