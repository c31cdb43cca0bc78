"""Run a kernel over slices of rows in a few persistent threads, with one barrier a call."""

import itertools
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread
from typing import Final

Job = Callable[[int, int], None]

SLICE_ROWS: Final = 64
"""Rows of a slice: enough that waking a thread for it pays."""


@dataclass
class _Task:
    """Hold the slices of one call; threads take them in turn, so that a slow one takes fewer."""

    job: Job
    num_rows: int
    num_slices: int
    turns: "itertools.count[int]" = field(default_factory=itertools.count)

    def work(self) -> float:
        """Run slices until none is left; return the seconds spent in the job."""
        busy = 0.0
        # Drawing the next number is one bytecode of C: no two threads get the same.
        while (turn := next(self.turns)) < self.num_slices:
            first = self.num_rows * turn // self.num_slices
            last = self.num_rows * (turn + 1) // self.num_slices
            start = time.perf_counter()
            self.job(first, last)
            busy += time.perf_counter() - start
        return busy


class SlicePool:
    """Share rows out between the calling thread and `num_threads - 1` workers.

    The job should release the interpreter's lock (a nogil kernel). Workers are started at the first
    call that needs them and end with the pool.
    """

    def __init__(self, num_threads: int) -> None:
        self.num_threads = num_threads
        self.busy_seconds = 0.0
        """Time spent inside jobs, summed over threads [s]."""
        self._inbox: SimpleQueue[_Task | None] = SimpleQueue()
        self._outbox: SimpleQueue[float | BaseException] = SimpleQueue()
        self._num_workers = 0

    def run(self, job: Job, num_rows: int) -> None:
        """Call `job(first, last)` over slices that cover `0 .. num_rows - 1`."""
        task = _Task(job, num_rows, max(1, num_rows // SLICE_ROWS))
        helpers = min(self.num_threads, task.num_slices) - 1
        while self._num_workers < helpers:
            self._start_worker()
        for _ in range(helpers):
            self._inbox.put(task)
        results: list[float | BaseException] = [_result(task)]
        results += [self._outbox.get() for _ in range(helpers)]
        for result in results:
            if isinstance(result, BaseException):
                raise result
            self.busy_seconds += result

    def _start_worker(self) -> None:
        Thread(target=_serve, args=(self._inbox, self._outbox), daemon=True).start()
        weakref.finalize(self, self._inbox.put, None)
        self._num_workers += 1


def _serve(
    inbox: "SimpleQueue[_Task | None]", outbox: "SimpleQueue[float | BaseException]"
) -> None:
    """Work on what comes in until None comes."""
    while (task := inbox.get()) is not None:
        outbox.put(_result(task))
        del task  # it refers to an environment, which must be able to end


def _result(task: _Task) -> float | BaseException:
    try:
        return task.work()
    except BaseException as error:  # carried to the calling thread, which raises it
        task.num_slices = 0
        return error
