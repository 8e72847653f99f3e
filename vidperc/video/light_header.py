"""HDR metadata for the headers of an output, by a file of one frame that states it: PyAV has no way to set it."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av

from vidperc.video.hdr import HdrMetadata, Mastering
from vidperc.video.header import SEGMENT, element, elements

# Matroska's elements (RFC 9559), as they are spelled in the file.
_EBML, _INFO, _TRACKS = b"\x1a\x45\xdf\xa3", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b"
_CLUSTER, _CHECKSUM = b"\x1f\x43\xb6\x75", b"\xbf"
_TRACK, _VIDEO, _COLOUR = b"\xae", b"\xe0", b"\x55\xb0"
_MAX_CLL, _MAX_FALL, _MASTERING = b"\x55\xbc", b"\x55\xbd", b"\x55\xd0"
# x, y of red, green, blue and white, then the brightest and the darkest.
_FIGURES = tuple(bytes((0x55, number)) for number in range(0xD1, 0xDB))


def stating_light(segment: Path | io.BytesIO, hdr: HdrMetadata) -> io.BytesIO:
    """The first frame of a segment in a Matroska file whose header states this light beside what it stated before.

    A stream that is made from it has it, too, in all containers that can hold it.
    """
    one = io.BytesIO()
    with av.open(_opened(segment), "r") as source, av.open(one, "w", format="matroska") as output:
        stream = output.add_stream_from_template(source.streams.video[0], opaque=True)
        packet = next(packet for packet in source.demux(video=0) if packet.size)
        packet.stream = stream
        output.mux(packet)
    parts = dict(elements(one.getvalue()))
    body = [(name, content) for name, content in elements(parts[SEGMENT]) if name in (_INFO, _TRACKS, _CLUSTER)]
    # Without the index, which would point beside what it means.
    written = b"".join(element(name, _lit(content, hdr) if name == _TRACKS else content) for name, content in body)
    return io.BytesIO(element(_EBML, parts[_EBML]) + element(SEGMENT, written))


def _opened(segment: Path | io.BytesIO) -> str | io.BytesIO:
    return str(segment) if isinstance(segment, Path) else io.BytesIO(segment.getvalue())


def _lit(tracks: bytes, hdr: HdrMetadata) -> bytes:
    """The content of an element above the colour description of a video, with the light in that description."""
    changed = b""
    for name, content in elements(tracks):
        if name in (_TRACK, _VIDEO):
            changed += element(name, _lit(content, hdr))
        elif name == _COLOUR:
            changed += element(name, content + _light(hdr))
        elif name != _CHECKSUM:  # of what is no longer so
            changed += element(name, content)
    return changed


def _light(hdr: HdrMetadata) -> bytes:
    said = b""
    if hdr.light is not None:
        said += element(_MAX_CLL, struct.pack(">I", hdr.light[0])) + element(_MAX_FALL, struct.pack(">I", hdr.light[1]))
    if hdr.mastering is not None:
        pairs = zip(_FIGURES, _figures(hdr.mastering), strict=True)
        said += element(_MASTERING, b"".join(element(name, struct.pack(">d", figure)) for name, figure in pairs))
    return said


def _figures(mastering: Mastering) -> list[float]:
    points = (mastering.red, mastering.green, mastering.blue, mastering.white)
    return [float(number) for point in points for number in point] + [
        float(mastering.brightest),
        float(mastering.darkest),
    ]
