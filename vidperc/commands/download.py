"""Inputs that are addresses: fetched whole, on request, before anything looks at them."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Generator, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit

from vidperc.errors import VidpercError
from vidperc.version import __version__
from vidperc.video.identity import WORK_MARK

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

SCHEMES = ("http", "https")  # all else stays closed: files, pipes, devices, and what FFmpeg calls protocols

TIMEOUT_SECONDS = 30.0  # without a byte

CHUNK_BYTES = 1 << 20


@contextlib.contextmanager
def fetched(
    inputs: Sequence[Path | str], output: str | None, *, allow_url: bool
) -> Generator[tuple[tuple[Path, ...], str | None, dict[Path, str]]]:
    """The inputs with files in place of addresses, the output, and the address of each of those files.

    They lie beside the output, else in the current folder, where the outputs then go, and are deleted at the end; so
    is what an unfinished run left. inputs: addresses are text.
    Raises VidpercError for an address that is not allowed, or does not give a file.
    """
    addresses = [address for address in inputs if isinstance(address, str)]
    if not addresses or not allow_url:
        yield tuple(Path(item) for item in inputs), output, {}
        return
    for address in addresses:
        if urlsplit(address).scheme.lower() not in SCHEMES:
            raise VidpercError(f"{address}: --allow-url opens {' and '.join(SCHEMES)} only; download the file first")
    output = output or "./"
    into = Path(output).absolute()
    folder = into if output.endswith("/") or into.is_dir() else into.parent
    while not folder.exists():  # one that will be made
        folder = folder.parent
    before = set(folder.glob(f"*{WORK_MARK}*"))
    try:
        place = Path(tempfile.mkdtemp(prefix=f"download{WORK_MARK}", dir=folder))
    except OSError as error:
        raise VidpercError(f"{folder}: may not be written ({error.strerror}); choose another -o") from error
    try:
        files: dict[Path, str] = {}
        found: list[Path] = []
        for item in inputs:
            if isinstance(item, str):
                item, address = _fetch(item, place / str(len(files))), item
                files[item] = address
            found.append(item)
        yield tuple(found), output, files
    finally:
        shutil.rmtree(place, ignore_errors=True)
        for left in set(folder.glob(f"*{WORK_MARK}*")) - before:
            shutil.rmtree(left, ignore_errors=True)  # of a run that no command can take up


def _fetch(address: str, folder: Path) -> Path:
    name = Path(unquote(urlsplit(address).path)).name
    file = folder / (re.sub(r"[^\w.() -]", "_", name).strip(". ") or "video")
    folder.mkdir()
    nbytes = 0
    try:
        with _opener().open(address, timeout=TIMEOUT_SECONDS) as answer, file.open("wb") as spool:
            announced = answer.headers.get("Content-Length")
            while block := answer.read(CHUNK_BYTES):
                nbytes += spool.write(block)
    except HTTPError as error:
        raise VidpercError(f"{address}: the server answers {error.code} ({error.reason}); check the address") from error
    except (URLError, HTTPException, OSError, ValueError) as error:
        told = " ".join(str(getattr(error, "reason", error)).split())[:200]
        raise VidpercError(f"{address}: cannot be fetched ({told}); try again, or download the file first") from error
    if announced is not None and nbytes != int(announced):
        raise VidpercError(f"{address}: broke off after {nbytes} of {announced} bytes; try again")
    if not nbytes:
        raise VidpercError(f"{address}: gave nothing, wanted a video")
    return file


def _opener() -> OpenerDirector:
    """What opens these schemes and no other, also where a server sends it elsewhere."""
    from urllib import request

    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPRedirectHandler(),
        request.HTTPErrorProcessor(),
        request.HTTPDefaultErrorHandler(),
        request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", f"vidperc/{__version__}")]
    return opener
