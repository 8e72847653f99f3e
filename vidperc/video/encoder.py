"""Encoding: a fresh encoder for each segment, and a look at whether one can work at all."""

from __future__ import annotations

import io
import os
from bisect import bisect_left
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import av
import av.error
import av.logging
import numpy as np
from av.video.reformatter import VideoReformatter

from vidperc.clip import Color
from vidperc.errors import VidpercError
from vidperc.ops.matrices import UNSPECIFIED
from vidperc.video.encoder_settings import EncoderSettings
from vidperc.video.planes import frame_from_planes, layout_of
from vidperc.video.siting import SITING_NAMES

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from vidperc.video.planes import Plane

# SVT-AV1 writes its settings to stderr unless told not to.
os.environ.setdefault("SVT_LOG", "1")

PRIVATE_SEGMENT_FORMAT = "matroska"
PRIVATE_FORMATS = {"png": "nut"}  # of codecs that it does not hold

# Of encoders that count time in ticks of their own.
_COARSEST_TICK = Fraction(1, 10**7)

# Frames by which decode times stay behind in a private file; more than any encoder reorders.
DECODE_DELAY = 64

_ONE_LISTENS = Lock()


@contextmanager
def _warnings() -> Generator[list[tuple[int, str, str]]]:
    """Collects what this thread makes FFmpeg warn of: level, who, text.

    The level is the process's own: two threads at a time would leave it up for good, and FFmpeg's threads would go on
    waiting for Python's lock whenever they say something, also when what holds it waits for them.
    """
    with _ONE_LISTENS:
        before = av.logging.get_level()
        av.logging.set_level(av.logging.WARNING)
        try:
            with av.logging.Capture() as messages:
                yield messages
        finally:
            av.logging.set_level(before)


def check_encoder(
    settings: EncoderSettings, *, width: int, height: int, time_base: Fraction, rate: Fraction, color: Color
) -> bytes:
    """Encode one frame, so that a setting which the encoder refuses is known before any work.

    Returns the segment that was made, for container_takes().
    Raises VidpercError with the encoder's own words when it refuses.
    """
    segment = io.BytesIO()
    name = settings.codec
    try:
        encoder = Encoder(segment, settings, width=width, height=height, time_base=time_base, rate=rate, color=color)
    except ValueError as error:
        raise VidpercError(f"--codec {name}: {PRIVATE_SEGMENT_FORMAT} does not hold it; choose another") from error
    layout = layout_of(settings.pix_fmt)
    dtype = np.uint8 if layout.bits == 8 else np.uint16
    planes = [cast("Plane", np.zeros(layout.plane_size(i, width, height), dtype)) for i in range(layout.all_planes)]
    messages: list[tuple[int, str, str]] = []
    try:
        with _warnings() as messages, encoder:
            encoder.encode(planes, 0)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        said = "; ".join(text.strip() for _, _, text in messages if text.strip()) or str(error)
        advice = "; for odd sizes try --pix-fmt yuv444p" if (width % 2 or height % 2) else ""
        raise VidpercError(
            f"{name} cannot encode {width}x{height} {settings.pix_fmt} with {_spelled(settings.options)}: "
            f"{said[:300]}{advice}"
        ) from error
    unused = ", ".join(encoder.unused_options)
    if unused:
        raise VidpercError(f"{name}: has no option {unused}; see its documentation, or leave it out")
    refused = [text.strip() for _, _, text in messages if "Unknown option" in text or "Error parsing option" in text]
    if refused:
        raise VidpercError(f"{name}: {'; '.join(refused)[:300]}")
    return segment.getvalue()


def _spelled(options: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in options.items()) or "no options"


def container_takes(container: str, segment: bytes) -> bool:
    """Whether a container, by FFmpeg's name ("mp4"), can hold what an encoder made, and gives it back.

    segment: what check_encoder() returned. A container's list of codecs tells too little: MOV has VP9 and AV1 on it.
    """
    joined = io.BytesIO()
    try:
        with av.open(io.BytesIO(segment), "r") as source, av.open(joined, "w", format=container) as output:
            video = output.add_stream_from_template(source.streams.video[0], opaque=True)
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = video
                    output.mux(packet)
        with av.open(io.BytesIO(joined.getvalue()), "r") as result:
            return next(result.decode(video=0), None) is not None
    except (av.error.FFmpegError, OSError, ValueError):
        return False


class Encoder:
    """One encoder, writing one segment to a private file, or into memory; a context manager.

    sample_aspect: width over height of one pixel, for encoders that state it in what they write; None leaves it out.
    The file's own timestamps are of no use; `packet_pts` holds the exact ones, in the order of the packets.
    Left by an exception, the file is removed.
    """

    def __init__(
        self,
        file: Path | io.BytesIO,
        settings: EncoderSettings,
        *,
        width: int,
        height: int,
        time_base: Fraction,
        rate: Fraction,
        color: Color,
        sample_aspect: Fraction | None = None,
    ) -> None:
        self.packet_pts: list[int] = []
        self.nbytes = 0
        self._given: list[int] = []
        self._file = file
        self._settings = settings
        self._layout = layout_of(settings.pix_fmt)
        self._color = color
        self._time_base = time_base
        self._reformatter = VideoReformatter()
        options = dict(settings.options)
        if self._layout.shift_x:
            options.setdefault("chroma_sample_location", SITING_NAMES[color.siting])
        container = PRIVATE_FORMATS.get(settings.codec, PRIVATE_SEGMENT_FORMAT)
        self._container = av.open(str(file) if isinstance(file, Path) else file, "w", format=container)
        self._stream: VideoStream = self._container.add_stream(  # pyright: ignore[reportAttributeAccessIssue]
            settings.codec, rate=rate, options=options
        )
        context = self._stream.codec_context
        context.width, context.height = width, height
        context.pix_fmt = settings.pix_fmt
        context.time_base = time_base
        context.framerate = rate
        context.options = options
        context.thread_count = settings.threads
        # Before the first encode: frames do not pass these on to the stream.
        context.colorspace = color.matrix
        context.color_range = 2 if color.full_range else 1
        context.color_primaries = color.primaries
        context.color_trc = color.transfer
        if sample_aspect is not None:
            context.sample_aspect_ratio = sample_aspect

    def encode(self, planes: Sequence[Plane], pts: int, carrier: VideoFrame | None = None) -> None:
        """Encode one frame shown at pts ticks of the time base, with the captions that the carrier has."""
        frame = frame_from_planes(planes, self._layout, self._color, carrier=carrier)
        if self._layout.name != self._settings.pix_fmt:
            frame.colorspace = UNSPECIFIED  # FFmpeg refuses to convert what states a matrix that it does not have
            frame = self._reformatter.reformat(frame, format=self._settings.pix_fmt)
            frame.colorspace = self._color.matrix
        frame.pts = pts
        frame.time_base = self._time_base
        self._given.append(pts)
        self._mux(self._stream.encode(frame))  # pyright: ignore[reportUnknownArgumentType]

    def _mux(self, packets: Sequence[Packet[Any]]) -> None:
        for packet in packets:
            if packet.pts is None:
                raise VidpercError(
                    f"--codec {self._settings.codec}: gives frames without their times, which cannot be joined; "
                    f"choose another"
                )
            # Not the encoder's own: x265 gives random ones when there are fewer frames than it holds back.
            behind = len(self.packet_pts) - DECODE_DELAY
            packet.dts = self._given[behind] if behind >= 0 else self._given[0] + behind
            self.packet_pts.append(self._given_time(packet.pts))
            self.nbytes += packet.size
            self._container.mux(packet)

    def _given_time(self, pts: int) -> int:
        """The time that a frame was given, for the one that its packet has: libvpx counts in 10**-7 seconds."""
        place = bisect_left(self._given, pts)
        near = min(self._given[max(0, place - 1) : place + 1], key=lambda given: abs(given - pts))
        return near if abs(near - pts) * self._time_base <= _COARSEST_TICK else pts

    @property
    def unused_options(self) -> list[str]:
        """Those of the settings' options that the encoder does not know; tells after the first frame."""
        return sorted(self._stream.codec_context.options)

    @property
    def extradata(self) -> bytes:
        return self._stream.codec_context.extradata or b""

    def __enter__(self) -> Encoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._mux(self._stream.encode(None))  # pyright: ignore[reportUnknownArgumentType]
                self._container.close()
                return
            except BaseException:
                self._discard()
                raise
        self._discard()

    def _discard(self) -> None:
        try:
            self._container.close()
        except (av.error.FFmpegError, OSError):
            pass  # the reason for leaving is already on its way up, and the file goes
        finally:
            if isinstance(self._file, Path):
                self._file.unlink(missing_ok=True)
