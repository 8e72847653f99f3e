"""How much compression has done to a video: what decides between networks for clean and for compressed pictures."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from av.video.frame import PictureType, VideoFrame
from numpy.typing import NDArray

from vidperc.video.images import is_images
from vidperc.video.index import FrameIndex
from vidperc.video.opening import open_input, video_stream
from vidperc.video.packets import DECODE_ERRORS
from vidperc.video.probe import VideoInfo
from vidperc.video.side_data import side_data
from vidperc.video.source import read_frames

# Codecs that keep what they are given, or nearly all of it.
CLEAN_CODECS = frozenset({
    "ffv1", "prores", "dnxhd", "cfhd", "huffyuv", "ffvhuff", "utvideo", "magicyuv", "png", "apng", "qtrle", "rawvideo",
    "wrapped_avframe", "v210", "v410", "r210", "gif", "lagarith", "tiff", "bmp", "jpegls", "jpeg2000",
})  # fmt: skip

# Quantisers above which a network for compressed pictures gives more than one for clean ones, on each codec's scale: in
# QP of 8 bits, in steps of VP9's table, in twice MPEG's qscale. By scripts/measure_auto.py (docs/networks.md).
# MPEG-2 and MPEG-4 were measured; the others have the same decoder and scale.
_MPEG = ("mpeg2video", "mpeg4", "mpeg1video", "h263", "flv1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2")
COARSE = {"h264": 22.8, "vp9": 120.0, **dict.fromkeys(_MPEG, 6.0)}

# Bits per pixel below which it does, where the decoder tells no quantiser; by the same script for H.265 and AV1.
ENOUGH_BITS = {"h264": 0.11, "hevc": 0.085, "vp9": 0.07, "av1": 0.055, "vp8": 0.14}
ENOUGH_BITS_ELSEWHERE = 0.35  # older codecs

# Differences across the borders of 8x8 blocks over those inside them; 1 where no block shows.
VISIBLE_BLOCKS = 1.15

# AVVideoEncParams: how many blocks, where they begin and how large each is; a kind, and the quantiser of the frame, to
# which each block adds its fifth number.
_PARAMETERS = struct.Struct("@INNIi")
_DELTA = 4

_LOOKS = 6
_PREDICTED = 3  # frames after a keyframe, where prediction has left its traces
_EDGE = 12.0  # larger differences are edges of the picture, not of blocks; in 8-bit codes


@dataclass(frozen=True)
class Compression:
    """What a look at a video found.

    bits_per_pixel: of the video stream; None where packets do not tell. blockiness: 1 where no blocks show. quantiser:
    how coarsely pictures are kept, on the codec's own scale; None where its decoder does not tell.
    """

    codec: str
    bits_per_pixel: float | None
    blockiness: float
    quantiser: float | None = None

    @property
    def shows(self) -> bool:
        """Compression is likely to show once the picture is enlarged and sharpened."""
        if self.codec in CLEAN_CODECS:
            return False
        return self._coarse or self.blockiness > VISIBLE_BLOCKS

    @property
    def _coarse(self) -> bool:
        if self.quantiser is not None and self.codec in COARSE:
            return self.quantiser > COARSE[self.codec]
        enough = ENOUGH_BITS.get(self.codec, ENOUGH_BITS_ELSEWHERE)
        return self.bits_per_pixel is not None and self.bits_per_pixel < enough

    def __str__(self) -> str:
        bits = "" if self.bits_per_pixel is None else f" at {self.bits_per_pixel:.3f} bits a pixel"
        coarse = "" if self.quantiser is None else f", quantiser {self.quantiser:.1f}"
        return f"{self.codec}{bits}{coarse}, blockiness {self.blockiness:.2f}"


def look_at_compression(path: Path, info: VideoInfo, index: FrameIndex) -> Compression:
    """Bits per pixel, how much 8x8 blocks show and how coarse they are, in a few frames spread over the video.

    Raises VidpercError when the file cannot be read.
    """
    bits = 8 * sum(index.nbytes) / (len(index.nbytes) * info.width * info.height) if index.nbytes else None
    if info.codec in CLEAN_CODECS:
        return Compression(info.codec, bits, 1.0)
    blocks: list[float] = []
    coarse: list[float] = []
    for luma, quantiser in _looks(path, index):
        blocks.append(blockiness(luma))
        if quantiser is not None:
            # H.264 counts six more for every bit above eight, for the same step.
            coarse.append(quantiser - (6 * (info.bits - 8) if info.codec == "h264" else 0))
    return Compression(
        info.codec,
        bits,
        float(np.median(blocks)) if blocks else 1.0,
        float(np.median(coarse)) if coarse else None,
    )


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


def _looks(path: Path, index: FrameIndex) -> Iterator[tuple[NDArray[np.uint8], float | None]]:
    """Luma (H,W) of a frame shortly after each of a few keyframes, and the mean quantiser from there to here."""
    places = [index.pts[len(index.pts) * place // _LOOKS] for place in range(_LOOKS)]
    keyframes = {before[-1] for pts in places if (before := index.keyframes_up_to(pts))}
    if is_images(path):
        for pts in sorted({*places}):
            yield _luma(next(read_frames(path, start=pts, stop=pts + 1)).frame), None
        return
    with open_input(path) as container:
        stream = video_stream(container, path)
        stream.codec_context.options = {**stream.codec_context.options, "export_side_data": "venc_params"}
        for _, dts in sorted(keyframes):
            with suppress(*DECODE_ERRORS):
                container.seek(dts, stream=stream)
                frames = list(islice(container.decode(stream), _PREDICTED + 1))
                told = [q for frame in frames if (q := _quantiser(frame)) is not None]
                if frames:
                    yield _luma(frames[-1]), float(np.mean(told)) if told else None


def _luma(frame: VideoFrame) -> NDArray[np.uint8]:
    return np.asarray(frame.to_ndarray(format="gray"), dtype=np.uint8)


def _quantiser(frame: VideoFrame) -> float | None:
    """The mean quantiser of a frame's blocks; None where the decoder told none, and for B frames, which are coarser."""
    data: bytes | None = None
    if frame.pict_type != PictureType.B:
        with suppress(ValueError):
            data = side_data(frame).get("VIDEO_ENC_PARAMS")
    if data is None:
        return None
    count, start, size, _, base = _PARAMETERS.unpack_from(data)
    if not count:
        return float(base)
    blocks = np.frombuffer(data, np.int32, count * size // 4, start).reshape(count, -1)
    return base + float(blocks[:, _DELTA].mean())
