"""A worker process: takes messages on its standard input, answers on its standard output.

Started as a program of its own rather than through multiprocessing, so that a caller's main module is
never imported again and a program without a `__main__` guard works too. It leaves when its standard input closes,
which happens whenever its parent is gone, killed or not.
"""

from __future__ import annotations

import faulthandler
import gc
import io
import logging
import os
import pickle
import signal
import struct
import sys
import threading
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Queue
from typing import BinaryIO

from vidperc.engine.memory import Load, out_of_memory, smaller
from vidperc.engine.plan import Plan, Segment, Wishes
from vidperc.errors import VidpercError
from vidperc.pipeline import Pipeline, PipelineSpec
from vidperc.placement import Placement

HEADER = struct.Struct(">Q")


@dataclass(frozen=True, kw_only=True)
class PrepareTask:
    """Find out what a pipeline needs for frames of this size; answered with engine.plan.Prepared.

    guide: width and height of the guide's frames, where there is one.
    frames, encoder_bytes: as `memory.Load` has them. threads: of this worker. workers: so many share the memory.
    """

    spec: PipelineSpec
    wishes: Wishes
    width: int
    height: int
    frames: int
    encoder_bytes: int
    threads: int
    workers: int
    guide: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class RenderTask:
    """Render one segment into a file in `folder`; answered with engine.render.Rendered.

    load: what the memory depends on, for the case that there is not enough: the segment begins anew with a smaller
    chunk or smaller tiles, as often as it takes.
    guide: the path of the guide, where the plan has one.
    """

    source: Path
    spec: PipelineSpec
    plan: Plan
    segment: Segment
    folder: Path
    load: Load
    guide: Path | None = None


@dataclass(frozen=True)
class Progress:
    """So many frames of the running segment are done; seconds by part."""

    frames: int
    seconds: dict[str, float]


@dataclass(frozen=True)
class Refused:
    """The user can mend it: the message of a VidpercError, or of the operating system."""

    message: str
    disk_full: bool = False


@dataclass(frozen=True)
class Failed:
    """Our bug: the traceback."""

    trace: str


def send(stream: BinaryIO, message: object) -> None:
    """Write one message."""
    content = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(HEADER.pack(len(content)) + content)
    stream.flush()


def receive(stream: BinaryIO) -> bytes | None:
    """Read one message, for pickle to load; None at the end of the stream."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    (size,) = HEADER.unpack(header)
    content = stream.read(size)
    return content if len(content) == size else None


class _ToParent(logging.Handler):
    """Log records go to the parent as messages, which logs them as its own."""

    def __init__(self, outgoing: BinaryIO) -> None:
        super().__init__()
        self._outgoing = outgoing

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args = record.getMessage(), None  # arguments of any type need not survive the journey
        send(self._outgoing, record)


def main() -> None:
    """Serve until standard input closes. The first argument is the least level that is logged, as a number."""
    # Ctrl-C is the parent's to handle, also while the imports below run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    incoming = os.fdopen(os.dup(0), "rb")
    outgoing = os.fdopen(os.dup(1), "wb")
    # Native libraries print to standard output; from here on that is standard error.
    os.dup2(2, 1)
    if hasattr(signal, "SIGUSR1"):  # not on Windows
        faulthandler.register(signal.SIGUSR1)  # where all threads are, even if none of them can run
    log = logging.getLogger("vidperc")
    log.setLevel(int(sys.argv[1]))
    log.addHandler(_ToParent(outgoing))
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), line_buffering=True)
    tasks: Queue[bytes] = Queue()

    def listen() -> None:
        try:
            while (message := receive(incoming)) is not None:
                tasks.put(message)
        finally:
            os._exit(0)  # the parent has gone; half-written files are partial by name

    threading.Thread(target=listen, daemon=True).start()
    gc.disable()  # the many objects that imports make all stay; looking for dead ones among them takes time
    try:
        worker = _Worker(outgoing)
    except Exception:
        send(outgoing, Failed(traceback.format_exc()))
        return
    gc.freeze()
    gc.enable()
    while True:
        # Loaded here: two threads that import at the same time see half-made modules.
        worker.serve(pickle.loads(tasks.get()))


class _Worker:
    def __init__(self, outgoing: BinaryIO) -> None:
        import av.logging

        av.logging.set_level(None)  # damaged files are counted, not narrated
        from vidperc.engine import prepare, render

        self._prepare, self._render = prepare, render
        self._outgoing = outgoing
        self._opened: dict[tuple[PipelineSpec, Placement], Pipeline] = {}
        self._shrunk: dict[Placement, Placement] = {}  # by what was planned

    def serve(self, task: object) -> None:
        try:
            answer = self._answer(task)
        except VidpercError as error:
            answer = Refused(str(error))
        except OSError as error:
            full = error.errno in (28, 122)  # ENOSPC, EDQUOT
            where = f"{error.filename}: " if error.filename else ""
            answer = Refused(f"{where}{error.strerror or error}", disk_full=full)
        except Exception:
            answer = Failed(traceback.format_exc())
        send(self._outgoing, answer)

    def _answer(self, task: object) -> object:
        import torch

        if isinstance(task, PrepareTask):
            prepared, pipeline = self._prepare.prepare(task)
            self._opened = {(task.spec, prepared.placement): pipeline}
            return prepared
        assert isinstance(task, RenderTask)
        torch.set_num_threads(task.plan.placement.threads)
        partial = task.folder / f"segment-{task.segment.index:05d}.{os.getpid()}.partial.mkv"

        def report(frames: int, seconds: dict[str, float]) -> None:
            send(self._outgoing, Progress(frames, seconds))

        while True:
            # What was too much for one segment is for the others too.
            placement = self._shrunk.get(task.plan.placement, task.plan.placement)
            plan = replace(task.plan, placement=placement)
            try:
                pipeline = self._pipeline(task.spec, placement)
                return self._render.render(task.source, plan, task.segment, pipeline, partial, report, guide=task.guide)
            except (MemoryError, RuntimeError) as error:
                partial.unlink(missing_ok=True)
                less = smaller(placement, task.load) if out_of_memory(error) else None
                if less is None:
                    raise
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
            self._opened = {}
            if placement.device != "cpu":
                torch.cuda.empty_cache()
            self._shrunk[task.plan.placement] = less

    def _pipeline(self, spec: PipelineSpec, placement: Placement) -> Pipeline:
        if (spec, placement) not in self._opened:
            self._opened = {(spec, placement): Pipeline(spec, placement)}
        return self._opened[spec, placement]
