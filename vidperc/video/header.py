"""What the header of a stream states that FFmpeg knows of and PyAV does not show: how its pictures are to be viewed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import av
import av.error

if TYPE_CHECKING:
    from av.stream import Stream

# Matroska's elements (RFC 9559), as they are spelled in the file.
_SEGMENT, _TRACKS, _TRACK, _VIDEO = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae", b"\xe0"
_PROJECTION, _PROJECTION_TYPE = b"\x76\x70", b"\x76\x71"
_VIEWS = {
    _PROJECTION: "360 degree projection",
    b"\x53\xb8": "stereo 3D",
    b"\x54\xaa": "cropping",
    b"\x54\xbb": "cropping",
    b"\x54\xcc": "cropping",
    b"\x54\xdd": "cropping",
}


def matroska_header(stream: Stream) -> bytes:
    """What a Matroska file of this stream begins with; FFmpeg knows of more than PyAV shows, and writes it there.

    FFmpeg's log would tell too, but whoever listens to it from Python while another thread decodes can wait for ever:
    decoders wait for Python's lock to say something, and what closes them holds it and waits for them.
    """
    header = io.BytesIO()
    try:
        with av.open(header, "w", format="matroska") as container:
            container.add_stream_from_template(stream, opaque=True)
            container.start_encoding()
    except (av.error.FFmpegError, ValueError):
        return b""  # a codec that it does not hold, or headers that cannot be read; the decoder will say more
    return header.getvalue()


def views(stream: Stream) -> dict[str, bytes]:
    """How a player is to show the pictures of a stream, by its name, and how Matroska spells that."""
    found: dict[str, bytes] = {}
    level = [(b"", matroska_header(stream))]
    for above in (_SEGMENT, _TRACKS, _TRACK, _VIDEO):
        level = [(name, part) for _, content in level for name, part in elements(content) if name == above]
    for _, content in level:
        for name, part in elements(content):
            if name == _PROJECTION and not any(dict(elements(part)).get(_PROJECTION_TYPE, b"")):
                continue  # rectangular: how FFmpeg spells a rotation
            if name in _VIEWS:
                found[_VIEWS[name]] = found.get(_VIEWS[name], b"") + element(name, part)
    return found


def elements(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The name and the content of every element of EBML (RFC 8794)."""
    place = 0
    while place < len(content):
        width = 9 - content[place].bit_length()  # the first set bit tells how long the name is
        name, place = content[place : place + width], place + width
        width = 9 - content[place].bit_length()
        number = int.from_bytes(content[place : place + width]) & ((1 << 7 * width) - 1)
        place += width
        unknown = number == (1 << 7 * width) - 1
        end = len(content) if unknown else place + number
        yield name, content[place:end]
        place = end


def element(name: bytes, content: bytes) -> bytes:
    """An element of EBML, its size in eight bytes."""
    return name + (len(content) | 1 << 56).to_bytes(8) + content
