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
SEGMENT, _TRACKS, _TRACK, _VIDEO = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae", b"\xe0"
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
    return header_in("matroska", stream)  # nothing where headers cannot be read; the decoder will say more


def header_in(container: str, stream: Stream) -> bytes:
    """What a file of this stream begins with in a container, by FFmpeg's name; empty where that does not hold it."""
    header = io.BytesIO()
    try:
        with av.open(header, "w", format=container) as output:
            output.add_stream_from_template(stream, opaque=True)
            output.start_encoding()
    except (av.error.FFmpegError, ValueError):
        return b""
    return header.getvalue()


def views(stream: Stream) -> dict[str, bytes]:
    """How a player is to show the pictures of a stream, by its name, and how Matroska spells that."""
    found: dict[str, bytes] = {}
    level = [(b"", matroska_header(stream))]
    for above in (SEGMENT, _TRACKS, _TRACK, _VIDEO):
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
        size, place = size_at(content, place)
        end = len(content) if size is None else place + size
        yield name, content[place:end]
        place = end


def size_at(content: bytes, place: int) -> tuple[int | None, int]:
    """The size of an element, None where it is not known, as in live streams, and where its content begins."""
    width = 9 - content[place].bit_length()
    unknown = (1 << 7 * width) - 1
    size = int.from_bytes(content[place : place + width]) & unknown
    return None if size == unknown else size, place + width


def element(name: bytes, content: bytes) -> bytes:
    """An element of EBML, its size in eight bytes."""
    return name + (len(content) | 1 << 56).to_bytes(8) + content
