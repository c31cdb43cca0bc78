"""Call the store from threads, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Calls:
    """Threads for quick calls, and two more for slow ones: passwords, figures, exports."""

    def __init__(self, threads: int) -> None:
        self._quick = ThreadPoolExecutor(threads, thread_name_prefix="labels")
        self._slow = ThreadPoolExecutor(2, thread_name_prefix="labels-slow")

    async def __call__(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run quick `work` and return its result."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._quick, partial(work, *args, **kwargs))

    async def slow(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` that may take longer, without keeping answers waiting."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._slow, partial(work, *args, **kwargs))

    def close(self) -> None:
        """Let what runs end, and stop."""
        self._quick.shutdown(wait=True, cancel_futures=True)
        self._slow.shutdown(wait=True, cancel_futures=True)
