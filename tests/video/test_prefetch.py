"""The queues around the tensor work: bounded, and no failure is lost on the way."""

import threading

import pytest

from vidperc.video.prefetch import ByteQueue, Closed, Consumer, Meter, prefetch


class Broken(Exception):
    pass


class Source:
    """Numbers 0, 1, ... of a size each; remembers how far it got, that it was closed, and in which thread."""

    def __init__(self, count, fail_at=None):
        self.count, self.fail_at = count, fail_at
        self.made = 0
        self.closed_in = None
        self.thread = None

    def __call__(self):
        self.thread = threading.current_thread()
        try:
            for number in range(self.count):
                if number == self.fail_at:
                    raise Broken(number)
                self.made += 1
                yield number
        finally:
            self.closed_in = threading.current_thread()


def test_items_come_whole_and_in_order():
    source = Source(1000)
    assert list(prefetch(source, lambda _: 1, 7, Meter())) == list(range(1000))
    assert source.closed_in is source.thread is not threading.current_thread()


@pytest.mark.parametrize(("item_bytes", "max_bytes"), [(10, 100), (30, 100), (100, 100), (1000, 100), (1, 0)])
def test_a_queue_never_holds_more_than_its_bytes_and_always_takes_one_item(item_bytes, max_bytes):
    queue = ByteQueue(max_bytes)
    most = max(1, max_bytes // item_bytes)
    held = []
    taken = threading.Semaphore(0)

    def produce():
        for number in range(3 * most):
            queue.put(number, item_bytes)
            held.append(queue._bytes)
            taken.release()
        queue.finish()

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    for _ in range(most):
        assert taken.acquire(timeout=30)
    # The queue is full now; every further item waits until one was taken.
    assert list(queue) == list(range(3 * most))
    thread.join(30)
    assert not thread.is_alive()
    assert max(held) <= max(max_bytes, item_bytes)


def test_the_producer_waits_while_the_queue_is_full():
    source = Source(100)
    items = prefetch(source, lambda _: 10, 30, Meter())
    for taken in range(1, 20):
        next(items)
        # Three in the queue, and one in the producer's hand that waits for room.
        assert source.made <= taken + 4
    items.close()


def test_a_failure_in_the_producer_reaches_the_consumer_after_what_came_before():
    items = prefetch(Source(10, fail_at=4), lambda _: 1, 100, Meter())
    got = []
    with pytest.raises(Broken, match="4"):
        for item in items:
            got.append(item)
    assert got == [0, 1, 2, 3]


def test_a_failure_while_the_source_is_made_reaches_the_consumer():
    def make():
        raise Broken("at once")

    with pytest.raises(Broken, match="at once"):
        next(prefetch(make, lambda _: 1, 100, Meter()))


def test_closing_early_ends_the_thread_and_closes_the_source_in_it():
    source = Source(10_000)
    items = prefetch(source, lambda _: 1, 3, Meter())
    assert next(items) == 0
    items.close()
    assert not source.thread.is_alive()
    assert source.closed_in is source.thread
    assert source.made < 10


def test_a_failure_of_the_consumer_of_items_ends_the_thread():
    source = Source(10_000)
    items = prefetch(source, lambda _: 1, 3, Meter())
    with pytest.raises(ZeroDivisionError):
        for item in items:
            1 / item
    items.close()
    assert not source.thread.is_alive()


def test_a_sink_is_drained_before_it_is_left():
    got = []
    with Consumer(got.extend, 2, Meter()) as sink:
        for number in range(100):
            sink.put(number, 1)
    assert got == list(range(100))


def test_a_failure_in_the_sink_reaches_the_one_that_puts():
    def consume(items):
        for item in items:
            if item == 5:
                raise Broken("disk full")

    with pytest.raises(Broken, match="disk full"), Consumer(consume, 2, Meter()) as sink:
        for number in range(10_000):
            sink.put(number, 1)


def test_a_failure_in_the_sink_after_the_last_item_is_raised_on_leaving():
    def consume(items):
        list(items)
        raise Broken("trailer")

    with pytest.raises(Broken, match="trailer"), Consumer(consume, 2, Meter()) as sink:
        sink.put(1, 1)


def test_an_error_outside_stops_the_sink_which_learns_that_the_stream_is_not_whole():
    learned = []

    def consume(items):
        try:
            list(items)
        except Closed as error:
            learned.append(error)
            raise

    with pytest.raises(ZeroDivisionError), Consumer(consume, 100, Meter()) as sink:
        sink.put(1, 1)
        raise ZeroDivisionError
    assert len(learned) == 1, "or it would have written a file that looks whole"


def test_waiting_and_work_are_measured():
    meter = Meter()
    assert sum(prefetch(Source(1000), lambda _: 1, 10, meter)) == 499_500
    assert meter.cpu > 0
    assert meter.waited >= 0
