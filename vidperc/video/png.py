"""PNG files: their chunks, for what an encoder cannot be told.

Source: W3C, Portable Network Graphics (PNG) Specification, third edition.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"
JOB_KEYWORD = b"VIDPERC_JOB"

# Of the colours; a profile stands in for them.
COLOR_CHUNKS = frozenset({b"iCCP", b"sRGB", b"cICP", b"cHRM", b"gAMA"})

TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})

XMP_KEYWORD = "XML:com.adobe.xmp"

Chunk = tuple[bytes, bytes]  # type and content


def chunks_of(content: bytes) -> Iterator[Chunk]:
    """The chunks of a file, in order."""
    place = len(SIGNATURE)
    while place + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, place)
        yield kind, content[place + 8 : place + 8 + size]
        place += 12 + size


def with_chunks(content: bytes, added: Sequence[Chunk]) -> bytes:
    """The file with these chunks after its header; an added profile takes the place of other words about colour."""
    profile = any(kind == b"iCCP" for kind, _ in added)
    header, *rest = chunks_of(content)
    kept = [chunk for chunk in rest if not (profile and chunk[0] in COLOR_CHUNKS)]
    return SIGNATURE + b"".join(map(_spelled, (header, *added, *kept)))


def _spelled(chunk: Chunk) -> bytes:
    kind, content = chunk
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def job_chunk(identity: str) -> Chunk:
    """The mark of a job."""
    return b"tEXt", JOB_KEYWORD + b"\0" + identity.encode("ascii")


def notes_chunks(notes: Mapping[str, object]) -> list[Chunk]:
    """The colour profile and the EXIF of a source, as ImageHeader.notes has them; EXIF without how to turn it."""
    found: list[Chunk] = []
    profile = notes.get("icc_profile")
    if isinstance(profile, bytes) and profile:
        found.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)))
    exif = notes.get("exif")
    if isinstance(exif, bytes) and exif:
        found.append((b"eXIf", _upright(exif)))
    return found


def text_chunks(path: Path) -> list[Chunk]:
    """The texts of a file as they are written, but for the mark of a job; none where it is no PNG."""
    found: list[Chunk] = []
    with path.open("rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            return found
        while len(start := file.read(8)) == 8 and not start.endswith(b"IEND"):
            size, kind = struct.unpack(">I4s", start)
            if kind not in TEXT_CHUNKS:
                file.seek(size + 4, 1)  # pictures are large, and texts may come behind them
                continue
            content = file.read(size)
            file.seek(4, 1)
            if not content.startswith(JOB_KEYWORD + b"\0"):
                found.append((kind, content))
    return found


def text_keyword(chunk: Chunk) -> str:
    """What a text is about: "Title", "Author"."""
    keyword = chunk[1].partition(b"\0")[0][:79].decode("latin-1")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in keyword)


def is_plain_text(chunk: Chunk) -> bool:
    """Whether a text is true of an enlarged picture: XMP, and EXIF as text, may want it turned, which it was."""
    keyword = text_keyword(chunk)
    return keyword != XMP_KEYWORD and not keyword.startswith("Raw profile type ")


def _upright(exif: bytes) -> bytes:
    """EXIF as PNG has it, saying that the picture is upright: it was turned, or was it before."""
    from PIL import Image

    tags = Image.Exif()
    tags.load(exif)
    if 0x0112 in tags:  # Orientation
        tags[0x0112] = 1
        exif = tags.tobytes()
    return exif.removeprefix(b"Exif\0\0")


def read_png_identity(path: Path) -> str | None:
    """The identity of the job that made a file; None when it carries none."""
    with path.open("rb") as file:
        start = file.read(1 << 10)
    for kind, content in chunks_of(start):
        if kind == b"tEXt" and content.startswith(JOB_KEYWORD + b"\0"):
            return content[len(JOB_KEYWORD) + 1 :].decode("ascii", "replace")
    return None
