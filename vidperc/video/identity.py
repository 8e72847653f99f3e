"""The mark of a job inside a finished file, by which a later run knows its own work.

Matroska and WebM carry it as a tag VIDPERC_JOB. MP4 and MOV would drop an unknown tag, so there it stands in a box of
type "uuid" at the end of the file, which ISO/IEC 14496-12 (section 4.2) tells readers to skip. A y4m file has
the beginning of it in its first line, where there is not much room; a PNG has it as text.
"""

from __future__ import annotations

import struct
import uuid
from pathlib import Path

import av
import av.error

from vidperc.video.png import SIGNATURE, read_png_identity
from vidperc.video.y4m import MAGIC, read_y4m_identity

TAG = "VIDPERC_JOB"

# In the names of what lies beside an output while it is made, and until it is whole.
WORK_MARK = ".vidperc-"
BOX_ID = uuid.uuid5(uuid.NAMESPACE_DNS, "vidperc job identity").bytes


def identity_tags(container: str, identity: str) -> dict[str, str]:
    """The tags to write into a container of this name."""
    return {TAG: identity} if container in ("matroska", "webm") else {}


def append_identity(path: Path, identity: str) -> None:
    """Add the box to a finished MP4 or MOV file."""
    content = identity.encode()
    with path.open("ab") as file:
        file.write(struct.pack(">I4s16s", 24 + len(content), b"uuid", BOX_ID) + content)


def read_identity(path: Path) -> str | None:
    """The identity of the job that made a file, or its first digits; None when it carries none, or is no video."""
    if path.is_dir():
        return _read_folder(path)
    try:
        with path.open("rb") as file:
            start = file.read(12)
        if start[4:8] == b"ftyp":
            return _read_box(path)
        if start.startswith(MAGIC):
            return read_y4m_identity(path)
        if start.startswith(SIGNATURE):
            return read_png_identity(path)
        with av.open(str(path), metadata_errors="surrogateescape") as container:
            return container.metadata.get(TAG)
    except (av.error.FFmpegError, OSError, ValueError):
        return None


def _read_folder(path: Path) -> str | None:
    """The identity that all files in a folder have; None where one has another, for then it is not ours to replace."""
    found: set[str | None] = set()
    for file in path.iterdir():
        found.add(read_png_identity(file) if file.is_file() and file.suffix == ".png" else None)
        if len(found) > 1:
            return None
    return found.pop() if found else None


def _read_box(path: Path) -> str | None:
    found: str | None = None
    end = path.stat().st_size
    with path.open("rb") as file:
        place = 0
        while place + 8 <= end:
            file.seek(place)
            size, kind = struct.unpack(">I4s", file.read(8))
            header = 8
            if size == 1:
                size, header = int.from_bytes(file.read(8)), 16
            elif size == 0:
                size = end - place
            if size < header:
                return found
            if kind == b"uuid" and file.read(16) == BOX_ID:
                found = file.read(size - header - 16).decode("ascii", "replace")
            place += size
    return found
