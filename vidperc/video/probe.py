"""What a file holds, read without decoding more than its first frame."""

from __future__ import annotations

import logging
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av.error
import numpy as np
from av.video.frame import VideoFrame

from vidperc.clip import Color
from vidperc.errors import VidpercError
from vidperc.ops.matrices import KNOWN_MATRICES
from vidperc.video.decoder import alpha_decoder
from vidperc.video.hdr import HdrMetadata, hdr_metadata
from vidperc.video.images import IMAGES, check_images, image_paths, is_images, sees_through
from vidperc.video.opening import Limits, check_header, check_limits, open_input, video_stream
from vidperc.video.side_data import side_data
from vidperc.video.siting import stated_siting
from vidperc.video.stated import BT709, usual_matrix

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

log = logging.getLogger(__name__)

IMAGE_RATE = Fraction(25)  # frames per second of images, unless the user says; FFmpeg's choice, too
# Containers that say nothing of the shape of pixels, so that frames alone do.
_BARE_FORMATS = frozenset({"mpegts", "mpeg", "h264", "hevc", "vvc", "mpegvideo", "m4v"})
IN_THE_MIDDLE = 1  # H.273, ChromaLocType


@dataclass(frozen=True, kw_only=True)
class StreamInfo:
    """One stream of a container: its place, type ("audio"), codec ("aac"), language and title where given."""

    index: int
    type: str
    codec: str
    language: str | None = None
    title: str | None = None
    cover: bool = False


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What is known about a video file and its main video stream.

    time_base: seconds per tick of every pts of the video stream.
    rate: frames per second as the container states it; for display and rate control, never for timestamps.
    sample_aspect: width over height of one pixel; None where the source does not say, which players take for 1.
    coded_aspect: the same, as every frame states it; None where the container has another, which holds for all.
    rotation: degrees counter-clockwise that a player turns the picture by.
    display_matrix: how it does so, mirroring too: 9 numbers row by row, 16.16 fixed point (ISO/IEC 14496-12, 8.3.2);
        None where the source has none that can be read.
    """

    path: Path
    container: str
    stream: int
    codec: str
    width: int
    height: int
    pix_fmt: str
    bits: int
    time_base: Fraction
    rate: Fraction
    sample_aspect: Fraction | None
    coded_aspect: Fraction | None
    rotation: int
    display_matrix: tuple[int, ...] | None
    interlaced: bool
    alpha: bool
    color: Color
    seconds: float | None
    hdr: HdrMetadata
    chapters: int
    metadata: dict[str, str]
    streams: tuple[StreamInfo, ...]


def probe(path: Path, *, limits: Limits | None = None, rate: Fraction | None = None) -> VideoInfo:
    """Read what a file holds.

    limits: what it may state of itself; None for the usual. rate: of images, in frames per second; None for 25.
    Raises VidpercError when it cannot be read, has no video or no frame that decodes.
    """
    limits = limits or Limits()
    check_header(path, limits)
    with open_input(path) as container:
        check_limits(container, path, limits)
        stream = video_stream(container, path)
        streams = tuple(_stream_info(s) for s in container.streams)
        frame = first_frame(container, stream, path)
        stated = frame if alpha_decoder(stream) is None else _as_stated(path)
        images = image_paths(path) if is_images(path) else ()
        color = color_of(stated, siting=stated_siting(stream))
        if images:
            check_images(images)
            color = _image_color(color, frame)
        sample_aspect, coded_aspect = _aspects(container, stream)
        ticks = rate or IMAGE_RATE
        for guess in color.guessed:
            log.info("%s: the source does not state its %s", path.name, guess)
        return VideoInfo(
            path=path,
            container=IMAGES if images else container.format.name,
            stream=stream.index,
            codec=codec_name(stream),
            width=frame.width,
            height=frame.height,
            pix_fmt=frame.format.name,
            bits=max(component.bits for component in frame.format.components),
            time_base=1 / ticks if images else stream.time_base or Fraction(1, 90000),
            rate=ticks if images else rate_of(stream),
            sample_aspect=sample_aspect,
            coded_aspect=coded_aspect,
            rotation=stated.rotation,
            display_matrix=display_matrix(stated),
            interlaced=frame.interlaced_frame,
            alpha=_transparent(frame, codec_name(stream), images),
            color=color,
            seconds=float(len(images) / ticks) if images else _seconds(container, stream),
            hdr=hdr_metadata(stated),
            chapters=len(container.chapters()),
            metadata=dict(container.metadata),
            streams=streams,
        )


def _aspects(container: InputContainer, stream: VideoStream) -> tuple[Fraction | None, Fraction | None]:
    """The shape of pixels of the first frame, which was just decoded, and the same if the frames alone state it."""
    coded, found = stream.codec_context.sample_aspect_ratio or None, stream.sample_aspect_ratio or None
    if container.format.name in _BARE_FORMATS:
        return coded, coded  # FFmpeg looks ahead, and may have found that of later frames
    return found, coded if coded == found else None


def _image_color(color: Color, frame: VideoFrame) -> Color:
    """Images use all codes unless they say otherwise, and chroma of JPEG and WebP sits in the middle of its pixels."""
    full_range = color.full_range or frame.color_range == 0
    guessed = tuple(guess for guess in color.guessed if not guess.startswith("range"))
    return replace(color, full_range=full_range, siting=IN_THE_MIDDLE, guessed=guessed)


def _as_stated(path: Path) -> VideoFrame:
    """The first frame with all that the container states of it: its colour, its light, how it is turned.

    Only the stream's own decoder is told that; the one that gives transparency is not.
    """
    with open_input(path) as container:
        return first_frame(container, video_stream(container, path), path, stated=True)


def first_frame(container: InputContainer, stream: VideoStream, path: Path, *, stated: bool = False) -> VideoFrame:
    """The first frame that decodes; the container stands behind it afterwards.

    stated: with what the container states of it, which transparency may have to be left out for.
    """
    try:
        decoder = None if stated else alpha_decoder(stream)
        for packet in container.demux(stream):
            try:
                frames = packet.decode() if decoder is None else decoder.decode(packet if packet.size else None)
            except (av.error.FFmpegError, MemoryError, EOFError, IndexError):
                continue
            if frames:
                return frames[0]
    except av.error.FFmpegError as error:
        raise VidpercError(f"{path}: cannot be read ({error.strerror})") from error
    size = "" if stream.codec_context.width else "; it states no size of its frames, or one that FFmpeg does not take"
    raise VidpercError(f"{path}: its video stream has no frame that can be decoded, wanted at least one{size}")


def color_of(frame: VideoFrame, *, siting: int | None = None) -> Color:
    """The colour description of a frame; what it leaves out is assumed and named in `guessed`.

    An unspecified matrix is BT.709 from 720 lines up, else BT.601; an unspecified range is limited.
    siting: of chroma, as far as it is known; None for left, which codecs mean when they do not say.
    """
    guessed: list[str] = []
    full_range = frame.color_range == 2
    matrix = frame.colorspace
    if frame.format.is_rgb or frame.format.has_palette:
        matrix, full_range = 0, True
    elif frame.format.name.startswith("yuvj"):
        full_range = True
    elif frame.color_range == 0:
        guessed.append("range, assumed limited")
    if not frame.format.is_rgb and not frame.format.has_palette and matrix not in KNOWN_MATRICES:
        matrix = usual_matrix(frame.height)
        guessed.append(f"matrix, assumed {'BT.709' if matrix == BT709 else 'BT.601'} from its {frame.height} lines")
    return Color(
        matrix=matrix,
        full_range=full_range,
        primaries=frame.color_primaries,
        transfer=frame.color_trc,
        siting=siting or 0,
        guessed=tuple(guessed),
    )


def _transparent(frame: VideoFrame, codec: str, images: Sequence[Path]) -> bool:
    """Whether frames may have transparency; all GIFs could, few do, and those that do begin with it.

    images: all of them; each PNG with a palette has one of its own.
    """
    if frame.format.has_palette:
        # Only PNG states how opaque the colours of a palette are; for others FFmpeg leaves any number there.
        palette = np.frombuffer(cast("bytes", frame.planes[1]), np.uint32)  # a buffer, which the stubs do not say
        return codec in ("png", "apng") and (bool((palette >> 24 < 255).any()) or any(map(sees_through, images)))
    if not any(component.is_alpha for component in frame.format.components):
        return False
    return codec != "gif" or bool((frame.to_ndarray(format="rgba")[..., 3] < 255).any())


def display_matrix(frame: VideoFrame) -> tuple[int, ...] | None:
    """How a player turns and mirrors a frame, as VideoInfo has it."""
    try:
        item = side_data(frame).get("DISPLAYMATRIX")
    except ValueError:  # PyAV gives up on all side data when it does not know the type of one; the angle remains
        return None
    if item is None:
        return None
    turned = struct.unpack("<9i", item)
    return (*turned[:6], 0, 0, turned[8])  # without the shift, which counts pixels of the source's size


def _stream_info(stream: Stream) -> StreamInfo:
    attached = bool(stream.disposition & stream.disposition.attached_pic)
    return StreamInfo(
        index=stream.index,
        type=stream.type,
        codec=codec_name(stream),
        language=stream.language,
        title=stream.metadata.get("title"),
        cover=attached,
    )


def codec_name(stream: Stream) -> str:
    """The codec of any stream, whether or not there is a decoder for it: "av1", where that is called "libdav1d"."""
    context = getattr(stream, "codec_context", None)
    codec = getattr(context, "codec", None)
    name = getattr(codec, "canonical_name", None) or getattr(context or stream, "name", None)
    return str(name or "unknown")


def rate_of(stream: VideoStream) -> Fraction:
    """Frames per second. One frame a tick is no average where FFmpeg takes the stream for slower, as it does DV."""
    average, guessed = stream.average_rate, stream.guessed_rate
    if average and guessed and stream.time_base and average * stream.time_base == 1:
        return min(average, guessed)
    return average or guessed or Fraction(25)


def _seconds(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def encoded_color(color: Color, *, rgb: bool, lines: int) -> Color:
    """The description of an output made from a source of this colour; all that was assumed is stated in it.

    rgb: the output holds RGB, not luma and chroma. lines: of the output; they decide the matrix of an RGB source.
    """
    if rgb:
        return replace(color, matrix=0, full_range=True, siting=0, guessed=())
    if color.matrix == 0:
        return replace(color, matrix=usual_matrix(lines), full_range=False, siting=0, guessed=())
    return replace(color, guessed=())
