"""Run a kernel over slices of rows in a few persistent threads, with one barrier a call."""

import time
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Final

Job = Callable[[int, int], None]

MIN_ROWS: Final = 48
"""Fewer rows than this a thread are not worth waking it."""


class SlicePool:
    """Split rows between the calling thread and `num_threads - 1` workers.

    The job must release the interpreter's lock (a nogil kernel) and must not raise. Workers are
    started at the first call that needs them and end with the pool.
    """

    def __init__(self, num_threads: int) -> None:
        self.num_threads = num_threads
        self.busy_seconds = 0.0
        """Time spent inside jobs, summed over threads [s]."""
        self._inboxes: list[SimpleQueue[tuple[Job, int, int] | None]] = []
        self._outbox: SimpleQueue[float | BaseException] = SimpleQueue()

    def run(self, job: Job, num_rows: int) -> None:
        """Call `job(first, last)` over slices that cover `0 .. num_rows - 1`."""
        parts = max(1, min(self.num_threads, num_rows // MIN_ROWS))
        if parts > 1 + len(self._inboxes):
            self._start(parts - 1)
        edges = [num_rows * part // parts for part in range(parts + 1)]
        for part in range(1, parts):
            self._inboxes[part - 1].put((job, edges[part], edges[part + 1]))
        self.busy_seconds += _timed(job, 0, edges[1])
        for _ in range(1, parts):
            result = self._outbox.get()
            if isinstance(result, BaseException):
                raise result
            self.busy_seconds += result

    def _start(self, count: int) -> None:
        while len(self._inboxes) < count:
            inbox: SimpleQueue[tuple[Job, int, int] | None] = SimpleQueue()
            self._inboxes.append(inbox)
            Thread(target=_work, args=(inbox, self._outbox), daemon=True).start()
            weakref.finalize(self, inbox.put, None)


def _work(
    inbox: "SimpleQueue[tuple[Job, int, int] | None]",
    outbox: "SimpleQueue[float | BaseException]",
) -> None:
    while (item := inbox.get()) is not None:
        try:
            outbox.put(_timed(*item))
        except BaseException as error:
            outbox.put(error)
        del item  # a job refers to its environment, which must be able to end


def _timed(job: Job, first: int, last: int) -> float:
    start = time.perf_counter()
    job(first, last)
    return time.perf_counter() - start
