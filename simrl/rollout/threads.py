"""Choose how many torch threads a rollout uses."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

ROWS_PER_THREAD = 512
"""Below this many rows a second thread costs more than it gives."""


def choose_threads(rows: int) -> int:
    """Return the number of torch threads for a forward pass over `rows` rows.

    A barrier between threads is dear, so small batches run on one thread.  On a busy machine two
    threads lose at every size: with three programs on each of two cores, the forward pass of a
    recurrent network took 3 times as long on two threads at 1024 rows and 5 times at 4096.  Where
    the cores are shared, hand `threads=1` to the engine.  The load is not looked at here, since the
    same seed must give the same bits.
    """
    return max(1, min(usable_cores(), rows // ROWS_PER_THREAD))


def usable_cores() -> int:
    """Count the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Run torch's operations on `count` threads inside the block.

    The same seed gives the same bits on one thread count only: sums are divided differently.
    """
    if count < 1:
        raise ValueError(f"the number of threads must be at least 1, got {count}")
    before = torch.get_num_threads()
    if count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
