"""Decoders that are not FFmpeg's own choice for a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from av.codec.context import CodecContext

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

# The ones that FFmpeg prefers for these pass over the second picture in each packet that holds the transparency.
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def alpha_decoder(stream: VideoStream, threads: int = 1) -> VideoCodecContext | None:
    """A decoder that gives the stream's transparency where the usual one does not; None where the usual one will do.

    The caller sends it the packets in place of the stream's own.
    """
    # The element of Matroska and WebM; files that carry it as a tag, too, spell it in capitals.
    if not any(key.lower() == "alpha_mode" and value == "1" for key, value in stream.metadata.items()):
        return None
    name = _WITH_ALPHA.get(stream.codec_context.codec.canonical_name)
    if name is None:
        return None
    decoder: VideoCodecContext = CodecContext.create(name, "r")  # pyright: ignore[reportAssignmentType]
    decoder.extradata = stream.codec_context.extradata
    decoder.thread_count = threads
    return decoder
