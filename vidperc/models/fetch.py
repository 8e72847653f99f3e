"""Where a file of published weights lies, and how it is fetched if it is nowhere: the one way for every network."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vidperc.errors import VidpercError

log = logging.getLogger(__name__)

WEIGHTS_VARIABLE = "VIDPERC_WEIGHTS"
_PATIENCE_SECONDS = 30.0  # of a connection that is silent
_CHUNK = 1 << 20

Said = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """A file of weights that anyone can fetch.

    of: what it belongs to, as messages call it. url: where it is published; its last part is the file's name.
    sha256: the digest, or how it begins, eight digits at least: torchvision's names end so.
    paths: where else it may lie below a folder of weights, other copies of the same numbers among them.
    """

    of: str
    url: str
    sha256: str
    paths: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[1]


def torchvision_weights(of: str, url: str, *paths: str) -> PublishedWeights:
    """Those that torchvision publishes, whose name ends with the first digits of their sha256."""
    return PublishedWeights(of=of, url=url, sha256=Path(url).stem.rsplit("-", 1)[1], paths=paths)


def weights_path(
    wanted: PublishedWeights, given: Path | None = None, *, otherwise: str = "", said: Said | None = None
) -> Path:
    """The path of a file of weights, fetched into torch's folder of downloads (TORCH_HOME) if it is nowhere.

    given: the file itself, or a folder to look into, which then is the only place that is looked at. Else the folder
    that the variable VIDPERC_WEIGHTS names comes first, then torch's downloads.
    otherwise: what else the user may do, told in messages. said: is told, while it is fetched, how many bytes are
    here and how many there are, 0 where that is not known.
    Raises VidpercError when it is not there, and cannot be fetched, or is not what was announced.
    """
    if given is not None:
        return _in_place(wanted, given, otherwise)
    folder = os.environ.get(WEIGHTS_VARIABLE)
    found = next(_present(wanted, Path(folder).expanduser()), None) if folder else None
    if found is not None:
        return found
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / wanted.name
    if not path.is_file():
        log.warning("fetching the weights of %s, once: %s", wanted.of, wanted.url)
        _fetch(wanted, path, otherwise, said)
    return path


def _in_place(wanted: PublishedWeights, given: Path, otherwise: str) -> Path:
    if given.is_file():
        return given
    found = next(_present(wanted, given), None)
    if found is not None:
        return found
    if not given.is_dir():
        raise VidpercError(f"{given}: no such file or folder of weights for {wanted.of}; check the path{otherwise}")
    raise VidpercError(
        f"{given / wanted.name}: not found, and {wanted.of} needs it; fetch {wanted.url} and put it there, or name "
        f"another folder{otherwise}"
    )


def _present(wanted: PublishedWeights, folder: Path) -> Iterator[Path]:
    candidates = (folder / path for path in (wanted.name, *wanted.paths))
    return (path for path in candidates if path.is_file())


def _fetch(wanted: PublishedWeights, path: Path, otherwise: str, said: Said | None) -> None:
    # A name of its own, for another process may be fetching the same file.
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            digest = _download(wanted.url, partial, said)
            if not digest.startswith(wanted.sha256):
                raise OSError(f"invalid hash value: got {digest[:16]}, wanted {wanted.sha256[:16]}")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, http.client.HTTPException) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise VidpercError(
            f"{wanted.of}: its weights are not here and could not be fetched ({reason}); fetch {wanted.url} on a "
            f"machine with a connection and put it at {path}, or into the folder that {WEIGHTS_VARIABLE} "
            f"names{otherwise}"
        ) from error


def _download(url: str, path: Path, said: Said | None) -> str:
    """Writes what lies there to a file; its sha256."""
    request = urllib.request.Request(url, headers={"User-Agent": "vidperc"})
    digest, here = hashlib.sha256(), 0
    with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS) as answer, path.open("wb") as file:
        announced = int(answer.headers.get("Content-Length") or 0)
        while block := answer.read(_CHUNK):
            file.write(block)
            digest.update(block)
            here += len(block)
            if said is not None:
                said(here, announced)
    if announced and here != announced:
        raise OSError(f"it broke off after {here} of {announced} bytes")
    return digest.hexdigest()
