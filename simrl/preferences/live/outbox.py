"""Messages on their way out: texts in order, and of the frames only the newest."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

MAX_TEXTS = 256
"""Texts that may wait; a reader who lets more pile up has gone."""


class Outbox:
    """Queue messages for one reader; safe between threads.

    Attributes:
        dropped: Frames that were replaced by newer ones before they were read.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._changed = threading.Condition()
        self._texts: deque[str] = deque()
        self._frame: bytes | None = None
        self._closed = False
        self._listeners: list[Callable[[], None]] = []

    @property
    def overfull(self) -> bool:
        """Whether nobody seems to read."""
        return len(self._texts) > MAX_TEXTS

    def tell(self, kind: str, **values: Any) -> None:
        """Queue a text message of a type."""
        self._put(text=json.dumps({"type": kind, **values}, allow_nan=False))

    def show(self, frame: bytes) -> None:
        """Queue a frame in place of one that still waits."""
        self._put(frame=frame)

    def close(self) -> None:
        """Say that nothing more comes; what waits can still be read."""
        with self._changed:
            self._closed = True
            self._announce()

    def next(self, timeout: float | None = None) -> str | bytes | None:
        """Wait for the next message; None after the last one, or when `timeout` [s] is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting(), timeout)
            return self._take()

    async def messages(self) -> AsyncIterator[str | bytes]:
        """Yield every message until the last, without holding up the event loop."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def announce() -> None:
            loop.call_soon_threadsafe(news.set)

        with self._changed:
            self._listeners.append(announce)
        try:
            while True:
                with self._changed:
                    news.clear()
                    message, closed = self._take(), self._closed
                if message is not None:
                    yield message
                elif closed:
                    return
                else:
                    await news.wait()
        finally:
            with self._changed:
                self._listeners.remove(announce)

    def _put(self, text: str | None = None, frame: bytes | None = None) -> None:
        with self._changed:
            if self._closed:
                return
            if text is not None:
                self._texts.append(text)
            if frame is not None:
                self.dropped += self._frame is not None
                self._frame = frame
            self._announce()

    def _announce(self) -> None:
        self._changed.notify_all()
        for listener in list(self._listeners):
            try:
                listener()
            except RuntimeError:  # the reader's event loop has been closed
                self._listeners.remove(listener)

    def _waiting(self) -> bool:
        return bool(self._texts) or self._frame is not None

    def _take(self) -> str | bytes | None:
        if self._texts:
            return self._texts.popleft()
        frame, self._frame = self._frame, None
        return frame


def plain(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers among `values`, ready for JSON."""
    numbers = {name: float(value) for name, value in values.items()}
    return {name: value for name, value in numbers.items() if abs(value) < float("inf")}
