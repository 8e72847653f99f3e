"""Opening files for reading, with the guards that a file from a stranger needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import av.error

from vidperc.errors import VidpercError
from vidperc.video.images import image_paths, is_images, is_numbered, must_be_regular, open_image

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

# Demuxers of self-contained files. Playlists (HLS, ffconcat, DASH) open other files and stay out.
READABLE_FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,av1,obu,ivf,flv,asf,ogg,gif,apng,mxf,nut,dv,rm,y4m,"
    "yuv4mpegpipe,swf,wtv,h263,h261,vc1,nsv,aac,mp3,wav,flac"
)


# Seconds that reading the headers of a file may take.
OPEN_SECONDS = 30.0

# Pixels of a frame that decoders hold, unless a file's header states more and was let through.
MOST_PIXELS = 8192 * 8192


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a file may state of itself; beyond that it is taken for a mistake, or for an attack."""

    pixels: int = MOST_PIXELS
    streams: int = 64
    chapters: int = 10_000
    attachment_bytes: int = 64 << 20


def check_limits(container: InputContainer, path: Path, limits: Limits) -> None:
    """Refuse a file that states more than the limits, before anything of it is decoded.

    Raises VidpercError.
    """
    count = len(container.streams)
    if count > limits.streams:
        raise VidpercError(f"{path}: has {count} streams, wanted at most {limits.streams}; --max-streams allows more")
    for stream in container.streams.video:
        if stream.codec_context is None:  # pyright: ignore[reportUnnecessaryComparison]
            continue
        _check_size(path, stream.codec_context.width, stream.codec_context.height, limits)
    if len(container.chapters()) > limits.chapters:
        got = len(container.chapters())
        raise VidpercError(
            f"{path}: has {got} chapters, wanted at most {limits.chapters}; remove some, as with mkvpropedit"
        )
    for stream in container.streams.attachments:
        nbytes = len(stream.data)
        if nbytes > limits.attachment_bytes:
            raise VidpercError(
                f"{path}: attachment {stream.index} has {nbytes / 2**20:.0f} MiB, wanted at most "
                f"{limits.attachment_bytes >> 20}; remove it first, as with mkvpropedit"
            )


def check_header(path: Path, limits: Limits) -> None:
    """Refuse a file whose first bytes state larger frames than the limits, or than FFmpeg takes.

    Raises VidpercError; for a file that cannot be read, `open_input` does.
    """
    file = image_paths(path)[0] if is_numbered(path) or (path.exists() and is_images(path)) else path
    if not file.is_file():
        return
    try:
        with file.open("rb") as opened:
            start = opened.read(_HEADER_BYTES)
    except OSError:  # whoever opens it says why
        return
    for pattern, number in _STATED_SIZES:
        found = pattern.match(start)
        if found:
            _check_size(file, number(found[1]), number(found[2]), limits)


_HEADER_BYTES = 128

# Width and height at the start of a file, and how they are spelled: FFmpeg does not tell those that it refuses.
_STATED_SIZES: tuple[tuple[re.Pattern[bytes], Callable[[bytes], int]], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n.{8}(.{4})(.{4})", re.DOTALL), lambda four: int.from_bytes(four, "big")),
    (re.compile(rb"GIF8[79]a(..)(..)", re.DOTALL), lambda two: int.from_bytes(two, "little")),
    (re.compile(rb"YUV4MPEG2(?=[^\n]* W(\d+))(?=[^\n]* H(\d+))"), int),
)


def _check_size(path: Path, width: int, height: int, limits: Limits) -> None:
    # FFmpeg's av_image_check_size2, where it does not know the pixel format yet.
    beyond = (8 * width + 1024) * (height + 128) >= 1 << 31
    if beyond or width * height > limits.pixels:
        most = min(limits.pixels, (1 << 31) // 8)
        advice = "FFmpeg takes none so large, make them smaller first" if beyond else "--max-input-pixels allows more"
        raise VidpercError(
            f"{path}: states frames of {width}x{height} pixels, wanted at most {most / 1e6:.0f} million "
            f"pixels; {advice}"
        )


def open_input(path: Path) -> InputContainer:
    """Open a media file for reading, or the first of images; the caller closes it.

    Raises VidpercError when the path is no readable file, or no container that we read.
    """
    if is_numbered(path) or (path.exists() and is_images(path)):
        return open_image(image_paths(path)[0])
    if not path.exists():
        # A path has lost one slash of "https://"; a single letter before the colon is a drive.
        is_address = re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path.as_posix()) is not None
        hint = "; addresses are not read without --allow-url, download the file first" if is_address else ""
        raise VidpercError(f"{path}: no such file{hint}")
    must_be_regular(path)
    if path.stat().st_size == 0:
        raise VidpercError(f"{path}: is empty (0 bytes), wanted a video file")
    try:
        # Absolute, so that no part of a file's name can be read as a protocol ("concat:a|b").
        return av.open(
            str(path.absolute()),
            mode="r",
            container_options={"protocol_whitelist": "file", "format_whitelist": READABLE_FORMATS},
            metadata_errors="surrogateescape",
            timeout=(OPEN_SECONDS, None),
        )
    except av.error.FFmpegError as error:
        raise VidpercError(
            f"{path}: not a video that can be read ({error.strerror}); wanted a container such as MP4, MKV, MOV or WebM"
        ) from error
    except PermissionError as error:
        raise VidpercError(f"{path}: may not be read (permission denied)") from error
    except (OSError, ValueError, MemoryError) as error:
        raise VidpercError(f"{path}: cannot be opened ({error})") from error


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The main video stream, never a cover picture when there is a film.

    Raises VidpercError when there is none.
    """
    stream = container.streams.best("video")
    if stream is None or stream.type != "video":
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "none"
        raise VidpercError(f"{path}: has no video stream (streams: {kinds}), wanted a video")
    video = cast("VideoStream", stream)
    if video.codec_context is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise VidpercError(f"{path}: has no decoder for its video; convert it first")
    # A header may state a small picture and hold a large one.
    most = max(MOST_PIXELS, video.codec_context.width * video.codec_context.height)
    video.codec_context.options = {"max_pixels": str(most)}
    return video
