"""Worker processes and the tasks that are in their hands."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, Queue
from time import perf_counter, sleep
from typing import BinaryIO

import psutil

from vidperc.engine.worker import Failed, PrepareTask, Progress, Refused, RenderTask, receive, send
from vidperc.errors import VidpercError

log = logging.getLogger(__name__)

# Windows' CREATE_NEW_PROCESS_GROUP, a name that subprocess only has there.
NEW_PROCESS_GROUP = 0x200

# glibc gives large blocks back to the system at once, and every frame's tensors are new pages again: up to a fifth of
# a frame's time. With these it keeps them, and asks for pages of 2 MiB, which a processor finds sooner: up to a seventh
# more. Other systems do not look at them.
KEPT_HEAP = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}

# A task that took this many workers down with it is not tried again.
MAX_CRASHES = 3

# Seconds without any processor time after which a worker with a task hangs: native decoders can wait for themselves.
HUNG_AFTER = 120


class WorkerBug(RuntimeError):
    """A worker met an error of ours; carries its traceback."""


class DiskFull(VidpercError):
    """There is no room left where segments are written."""


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    inbox: BinaryIO
    task: int | None = None
    cpu: float = 0.0  # seconds, when it was last looked at
    idle: int = 0  # looks, one a second, between which it did nothing


@dataclass(frozen=True)
class _Event:
    worker: _Worker
    message: object | None


class WorkerPool:
    """Worker processes, started as tasks need them and kept for the next job; a context manager.

    keep_heap: let them keep memory that they have used for the next frame; quicker, and takes more.
    """

    def __init__(self, *, keep_heap: bool = True) -> None:
        self._keep_heap = keep_heap
        self._workers: list[_Worker] = []
        self._events: Queue[_Event] = Queue()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, count: int) -> None:
        """Have at least this many workers; they import what they need while the caller goes on."""
        while len(self._workers) < count:
            self._workers.append(self._spawn())

    def keep(self, count: int) -> None:
        """Stop all workers but the first so many."""
        surplus = self._workers[count:]
        del self._workers[count:]
        _stop(surplus)

    def _spawn(self) -> _Worker:
        log_level = str(logging.getLogger("vidperc").getEffectiveLevel())
        # Its own session or process group: Ctrl-C reaches the parent alone, which then decides.
        process = subprocess.Popen(
            # -P: a file in the working directory must not stand in for a module.
            [sys.executable, "-P", "-c", "from vidperc.engine.worker import main; main()", log_level],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # OpenMP's threads spin while they wait, by default, on the cores that the encoder's threads need: on a busy
            # machine a frame took three to eight times as long.
            env={
                "OMP_WAIT_POLICY": "PASSIVE",
                **(KEPT_HEAP if self._keep_heap else {}),
                **os.environ,
                "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
            },
            start_new_session=os.name != "nt",
            creationflags=NEW_PROCESS_GROUP if os.name == "nt" else 0,
        )
        assert process.stdin is not None and process.stdout is not None
        worker = _Worker(process, process.stdin)  # pyright: ignore[reportArgumentType]
        outbox: BinaryIO = process.stdout  # pyright: ignore[reportAssignmentType]

        def listen() -> None:
            with outbox:
                while True:
                    try:
                        content = receive(outbox)
                        message = None if content is None else pickle.loads(content)
                    except (OSError, ValueError):
                        message = None
                    except Exception:  # an answer that cannot be read must not leave the caller waiting
                        message = Failed(traceback.format_exc())
                    if isinstance(message, logging.LogRecord):
                        logging.getLogger(message.name).handle(message)
                        continue
                    self._events.put(_Event(worker, message))
                    if message is None:
                        return

        threading.Thread(target=listen, daemon=True).start()
        return worker

    def run(
        self,
        tasks: Sequence[PrepareTask | RenderTask],
        *,
        workers: int = 1,
        done: Callable[[int, object], None],
        progress: Callable[[int, Progress], None] | None = None,
        tick: Callable[[], None] | None = None,
    ) -> int:
        """Have every task done, each by any worker; returns how many workers crashed on the way.

        done(place, answer) is called as each task ends, progress(place, message) while it runs, tick() twice a second.
        Raises VidpercError when a task is refused or keeps crashing workers, WorkerBug for an error of ours. Whatever
        is raised, running tasks are stopped.
        """
        waiting = deque(range(len(tasks)))
        crashes: dict[int, int] = {}
        finished = 0
        looked = perf_counter()
        try:
            self.start(min(workers, len(tasks)))
            while finished < len(tasks):
                for worker in self._workers[:workers]:
                    if worker.task is None and waiting:
                        worker.task = waiting.popleft()
                        with contextlib.suppress(OSError):  # it died; its last event says so
                            send(worker.inbox, tasks[worker.task])
                try:
                    event = self._events.get(timeout=0.5)
                except Empty:
                    event = None
                if tick is not None:
                    tick()
                if perf_counter() - looked >= 1:
                    looked = perf_counter()
                    self._end_hung()
                if event is None or event.worker not in self._workers:
                    continue
                place = event.worker.task
                if event.message is None:
                    self._replace(event.worker)
                    log.debug("a worker left, exit code %s; another takes its place", event.worker.process.returncode)
                    if place is not None:
                        crashes[place] = crashes.get(place, 0) + 1
                        if crashes[place] >= MAX_CRASHES:
                            raise VidpercError(
                                f"part {place + 1} of {len(tasks)}: {MAX_CRASHES} workers crashed or hung on it "
                                f"(exit code {event.worker.process.returncode}), perhaps for lack of memory or in a "
                                f"native library; try --workers 1, or a smaller --tile"
                            )
                        waiting.appendleft(place)
                elif isinstance(event.message, Failed):
                    raise WorkerBug(event.message.trace)
                elif place is None:
                    continue
                elif isinstance(event.message, Progress):
                    if progress is not None:
                        progress(place, event.message)
                else:
                    event.worker.task = None
                    if isinstance(event.message, Refused):
                        raise (DiskFull if event.message.disk_full else VidpercError)(event.message.message)
                    finished += 1
                    done(place, event.message)
        except BaseException:
            busy = [worker for worker in self._workers if worker.task is not None]
            self._workers = [worker for worker in self._workers if worker.task is None]
            _stop(busy)
            raise
        return sum(crashes.values())

    def _end_hung(self) -> None:
        """Kill the workers that hang; their tasks are then done again, as after any crash."""
        for worker in self._workers:
            with contextlib.suppress(psutil.Error):  # it has just died
                times = psutil.Process(worker.process.pid).cpu_times()
                worker.idle = worker.idle + 1 if worker.task is not None and sum(times[:2]) == worker.cpu else 0
                worker.cpu = sum(times[:2])
            # Counted, not timed: a job that was stopped, or a machine that slept, goes on where it was.
            if worker.idle >= HUNG_AFTER:
                log.warning("a worker did nothing for %d seconds and is ended; another does its part again", HUNG_AFTER)
                worker.idle = 0
                if hasattr(signal, "SIGUSR1"):
                    worker.process.send_signal(signal.SIGUSR1)  # it shows where it hangs
                    sleep(1)
                worker.process.kill()

    def _replace(self, worker: _Worker) -> None:
        _stop([worker])
        self._workers[self._workers.index(worker)] = self._spawn()

    def memory(self) -> int:
        """Bytes that this process and its workers take now: the proportional set size where the system tells it."""
        total = 0
        for pid in (os.getpid(), *(worker.process.pid for worker in self._workers)):
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                try:
                    total += process.memory_full_info().pss
                except (AttributeError, psutil.AccessDenied):
                    total += process.memory_info().rss
        return total

    def close(self) -> None:
        """Stop every worker, whatever it is doing."""
        self.keep(0)


def _stop(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.process.wait()
        with contextlib.suppress(OSError):
            worker.inbox.close()
