"""A thread with a bounded queue on either side of the tensor work."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter, thread_time
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):
    """The other side of a queue went away."""


class ByteQueue(Generic[T]):
    """A queue that holds at most max_bytes, and one item of any size.

    The producer waits while it is full, the consumer while it is empty. A failure of one side reaches the other.
    """

    def __init__(self, max_bytes: int) -> None:
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._finished = False
        self._closed = False
        self._failure: BaseException | None = None

    def put(self, item: T, nbytes: int) -> None:
        """Add an item; raises Closed when the consumer has gone."""
        with self._changed:
            while self._items and self._bytes + nbytes > self._max_bytes and not self._closed:
                self._changed.wait()
            if self._closed:
                raise Closed
            self._items.append((item, nbytes))
            self._bytes += nbytes
            self._changed.notify_all()

    def finish(self, failure: BaseException | None = None) -> None:
        """Nothing more will come; a failure is raised in the consumer after what came before it."""
        with self._changed:
            self._finished = True
            self._failure = failure
            self._changed.notify_all()

    def close(self) -> None:
        """The consumer has gone; the producer's next put raises Closed."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._bytes = 0
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                while not self._items and not self._finished:
                    self._changed.wait()
                if not self._items:
                    if self._failure is not None:
                        raise self._failure
                    return
                item, nbytes = self._items.popleft()
                self._bytes -= nbytes
                self._changed.notify_all()
            yield item


class Meter:
    """Seconds of CPU and of waiting that one part of a segment took."""

    def __init__(self) -> None:
        self.cpu = 0.0
        self.waited = 0.0


def prefetch(make: Callable[[], Iterator[T]], nbytes: Callable[[T], int], max_bytes: int, meter: Meter) -> Iterator[T]:
    """Run an iterator in a thread of its own, at most max_bytes ahead; give its items here.

    The iterator is made and closed in that thread. meter receives the thread's CPU seconds (cpu) and the seconds
    that the consumer waited for an item (waited).
    """
    queue: ByteQueue[T] = ByteQueue(max_bytes)

    def produce() -> None:
        began = thread_time()
        failure: BaseException | None = None
        try:
            items = make()
            try:
                for item in items:
                    queue.put(item, nbytes(item))
            finally:
                close = getattr(items, "close", None)
                if close is not None:
                    close()
        except Closed:
            pass
        except BaseException as error:  # handed to the consumer, which raises it
            failure = error
        finally:
            meter.cpu += thread_time() - began
            queue.finish(failure)

    thread = threading.Thread(target=produce, name="decode", daemon=True)
    thread.start()
    try:
        waiting = perf_counter()
        for item in queue:
            meter.waited += perf_counter() - waiting
            yield item
            waiting = perf_counter()
    finally:
        queue.close()
        thread.join()


class Inline(Generic[T]):
    """The face of Consumer without a thread: a function called with each item where it is put.

    For a worker that has one core: two busy threads would only drive each other out of its cache.
    """

    def __init__(self, consume: Callable[[T], None], meter: Meter) -> None:
        self._consume = consume
        self._meter = meter

    def put(self, item: T, nbytes: int) -> None:
        began = thread_time()
        self._consume(item)
        self._meter.cpu += thread_time() - began

    def __enter__(self) -> Inline[T]:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Consumer(Generic[T]):
    """A thread that a function drains; put() waits while it is max_bytes behind.

    Use as a context manager: leaving it waits until everything was consumed and raises what the function raised.
    """

    def __init__(self, consume: Callable[[Iterator[T]], None], max_bytes: int, meter: Meter) -> None:
        self._queue: ByteQueue[T] = ByteQueue(max_bytes)
        self._consume = consume
        self._meter = meter
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="encode", daemon=True)

    def _run(self) -> None:
        began = thread_time()
        try:
            self._consume(iter(self._queue))
        except Closed:
            pass
        except BaseException as error:  # raised again where the producer puts or leaves
            self._failure = error
        finally:
            self._meter.cpu += thread_time() - began
            self._queue.close()

    def put(self, item: T, nbytes: int) -> None:
        waiting = perf_counter()
        try:
            self._queue.put(item, nbytes)
        except Closed:
            if self._failure is not None:
                raise self._failure from None
            raise
        finally:
            self._meter.waited += perf_counter() - waiting

    def __enter__(self) -> Consumer[T]:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._queue.finish(Closed() if error is not None else None)
        waiting = perf_counter()
        self._thread.join()
        self._meter.waited += perf_counter() - waiting
        if error is None and self._failure is not None:
            raise self._failure
