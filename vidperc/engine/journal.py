"""The journal of a job: a folder beside the output that holds the plan and the finished segments, and a lock."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from vidperc.engine.plan import Plan, Segment
from vidperc.errors import VidpercError
from vidperc.video.identity import WORK_MARK
from vidperc.video.images import image_paths, is_images

HASHED_EDGE_BYTES = 1 << 20

# So many digits of a job's key tell its folder from those of others.
KEY_DIGITS = 10


@dataclass(frozen=True)
class Sidecar:
    """What is known about a rendered segment; it stands beside the segment's file and vouches for it.

    packet_pts: in the order of the file's packets. sha256: of the file. extradata: sha256 of the encoder's headers.
    counts: damage met while reading. seconds: CPU and waiting time of each part.
    """

    packet_pts: tuple[int, ...]
    sha256: str
    nbytes: int
    counts: dict[str, int] = field(default_factory=dict[str, int])
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    extradata: str = ""


@dataclass(frozen=True)
class Rendered:
    """A finished segment: its private file and what vouches for it."""

    path: Path
    sidecar: Sidecar


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def input_identity(path: Path) -> dict[str, Any]:
    """What tells an input from another: size, time of change, hash of its first and last MiB; of images, of all."""
    if is_images(path):
        images = image_paths(path)
        states = [(image.name, image.stat().st_size, image.stat().st_mtime_ns) for image in images]
        return {
            "images": len(images),
            "listing": hashlib.sha256(repr(states).encode()).hexdigest(),
            "edges": [sha256_of(image) for image in (images[0], images[-1])],
        }
    status = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(HASHED_EDGE_BYTES))
        file.seek(max(0, status.st_size - HASHED_EDGE_BYTES))
        digest.update(file.read(HASHED_EDGE_BYTES))
    return {
        "size": status.st_size,
        "changed": status.st_mtime_ns,
        "edges": digest.hexdigest(),
    }


def job_key(facts: dict[str, Any]) -> str:
    """The identity of a job: a hash over everything that decides its frames."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def write_durably(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole, or not at all, whatever happens."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    try:
        handle = os.open(path, os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR)
    except PermissionError:
        if path.is_dir():  # Windows opens no folders; its file system journals names itself
            return
        raise
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class OutputLock:
    """Held while a process works on an output, whatever its settings; a file beside the output, gone with the lock."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._path = output.with_name(f"{output.name}{WORK_MARK}lock")
        self._lock = FileLock(str(self._path), timeout=0)

    def acquire(self) -> None:
        """Take the lock. Raises VidpercError when another process has it, or when nothing can be written there."""
        try:
            self._path.touch()  # says why it cannot be made, where the lock would only wait
            self._lock.acquire()
        except Timeout:
            raise VidpercError(
                f"{self._output}: another vidperc is working on this output; wait for it, or stop it"
            ) from None
        except OSError as error:
            raise VidpercError(
                f"{self._output.parent}: cannot be written ({error.strerror}); choose another -o"
            ) from error

    @property
    def taken(self) -> bool:
        """Whether a process holds it."""
        if not self._path.exists():
            return False
        try:
            self.acquire()
        except VidpercError:
            return True
        self.release()
        return False

    def release(self) -> None:
        """Let others have it."""
        # Where an open file can be removed, it must be while we have the lock: later it may be another's.
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._lock.release()
        if os.name == "nt":
            with contextlib.suppress(OSError):
                self._path.unlink()


class Journal:
    """The state of one job on disk; a context manager that holds the lock on the job's output.

    The folder's name carries the job's key, so jobs with other settings for the same output do not meet.
    """

    def __init__(self, output: Path, key: str) -> None:
        self.key = key
        self.folder = output.with_name(f"{output.name}{WORK_MARK}{key[:KEY_DIGITS]}")
        self._output = output
        self._lock = OutputLock(output)

    def __enter__(self) -> Journal:
        self._lock.acquire()
        try:
            self.folder.mkdir(exist_ok=True)
            for partial in self.folder.glob("*.partial*"):
                if partial.is_dir():
                    shutil.rmtree(partial)
                else:
                    partial.unlink(missing_ok=True)
        except OSError as error:
            self._lock.release()
            raise VidpercError(
                f"{self.folder.parent}: cannot be written ({error.strerror}); choose another -o"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not any(self.folder.glob("segment-*.json")):
            self.remove()  # nothing was finished: leave nothing
        self._lock.release()

    def others(self, source: str) -> list[Path]:
        """The folders beside this one of unfinished jobs for the same output, or for any of an input of this name.

        Those that a process works on are left out.
        """
        found: list[Path] = []
        for folder in sorted(self.folder.parent.glob(f"*{WORK_MARK}*")):
            output, _, key = folder.name.rpartition(WORK_MARK)
            if folder == self.folder or len(key) != KEY_DIGITS or not folder.is_dir():
                continue
            of_this_output = output == self._output.name
            of_this_source = _planned_source(folder) == source and not OutputLock(folder.with_name(output)).taken
            if of_this_output or of_this_source:
                found.append(folder)
        return found

    def read_plan(self) -> Plan | None:
        """The plan of an earlier, unfinished run; None when there is none that can be read."""
        path = self.folder / "plan.json"
        try:
            return TypeAdapter(Plan).validate_json(path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def write_plan(self, plan: Plan) -> None:
        """Keep the plan of a new run; segments that are there belong to a plan that was lost, and are dropped."""
        for stale in self.folder.glob("segment-*"):
            stale.unlink()
        write_durably(self.folder / "plan.json", TypeAdapter(Plan).dump_json(plan, indent=1))

    def segment_path(self, segment: Segment) -> Path:
        return self.folder / f"segment-{segment.index:05d}.mkv"

    def finish(self, segment: Segment, partial: Path, sidecar: Sidecar) -> None:
        """Make a rendered segment count: file first, then the sidecar that vouches for it."""
        sync(partial)
        partial.replace(self.segment_path(segment))
        write_durably(self._sidecar_path(segment), json.dumps(asdict(sidecar)).encode())

    def finished(self, segment: Segment) -> Sidecar | None:
        """The sidecar of a segment whose file is whole; None when it must be rendered."""
        try:
            sidecar = TypeAdapter(Sidecar).validate_json(self._sidecar_path(segment).read_bytes())
            intact = sha256_of(self.segment_path(segment)) == sidecar.sha256
        except (FileNotFoundError, ValidationError):
            return None
        return sidecar if intact else None

    def _sidecar_path(self, segment: Segment) -> Path:
        return self.folder / f"segment-{segment.index:05d}.json"

    def remove(self) -> None:
        """Delete the job's state, finished segments and all."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _planned_source(folder: Path) -> str | None:
    """The name of the input that a job's plan is for; None when there is no plan that can be read."""
    try:
        plan: Any = json.loads((folder / "plan.json").read_bytes())
        return str(plan["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def folder_bytes(folder: Path) -> int:
    """What the files in a folder take on the disk; those that go meanwhile are left out."""
    total = 0
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total
