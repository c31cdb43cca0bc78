"""Draw clips in background processes, each clip once, whatever becomes of the processes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from simrl.core.files import write_atomic
from simrl.preferences.clips.clip import check_clip_id
from simrl.preferences.clips.library import REPLAYS, VIDEOS, ClipLibrary

PATIENCE: Final = 600.0
"""Time after which a clip that is not drawn yet is given up [s]."""
SINGLE: Final = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "LP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables that keep a worker on one core, the software renderer of OpenGL included."""


class RenderPool:
    """Draw clips by `workers` processes of low priority.

    A clip that has a video is not drawn again; one that failed before is tried again.  The program
    may end at any time: a video is there whole or not at all, and what is missing is drawn by the
    next pool.  Safe to use from several threads.
    """

    def __init__(self, library: ClipLibrary, workers: int | None = None) -> None:
        """Prepare; processes start with the first clip.

        Args:
            library: Where clips are read and videos written.
            workers: How many processes; default one less than the cores, at least one.
        """
        count = max(1, (os.cpu_count() or 2) - 1) if workers is None else workers
        if count < 1:
            raise ValueError(f"workers must be at least 1, got {count}")
        self.library = library
        self._change = threading.Condition()
        self._waiting: deque[str] = deque()
        self._known: dict[str, str] = {}  # "waiting", "done" or "failed"
        self._failures: dict[str, str] = {}
        self._closed = False
        self._workers = [_Worker(library) for _ in range(count)]
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), daemon=True, name="render")
            for worker in self._workers
        ]
        self._started = False
        library.sweep()

    def submit(self, ids: Sequence[str], *, first: bool = False) -> None:
        """Ask for clips to be drawn; with `first` before all that wait.

        ValueError if the pool is closed or an id is none.
        """
        for clip in ids:
            check_clip_id(clip)
        with self._change:
            if self._closed:
                raise ValueError("the pool is closed: it draws no more clips")
            fresh = []
            for clip in ids:
                state = self._known.get(clip)
                if self.library.video(clip) is not None:
                    self._known[clip] = "done"
                elif state is None or (state == "waiting" and first and clip in self._waiting):
                    if state == "waiting":
                        self._waiting.remove(clip)
                    self._known[clip] = "waiting"
                    fresh.append(clip)
            if first:
                self._waiting.extendleft(reversed(fresh))
            else:
                self._waiting.extend(fresh)
            if fresh and not self._started:
                self._started = True
                for thread in self._threads:
                    thread.start()
            self._change.notify_all()

    def progress(self) -> tuple[int, int, int]:
        """Return how many clips are drawn, how many were asked for, and how many failed."""
        with self._change:
            states = list(self._known.values())
        return states.count("done"), len(states), states.count("failed")

    def failures(self) -> dict[str, str]:
        """Return why each clip that failed could not be drawn."""
        with self._change:
            return dict(self._failures)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until everything is drawn or failed; tell whether it is, after at most `timeout` s.

        Returns at once where the pool is closed.
        """
        with self._change:
            self._change.wait_for(
                lambda: self._closed or "waiting" not in self._known.values(), timeout
            )
            return "waiting" not in self._known.values()

    def close(self) -> None:
        """Stop at once; what is not drawn yet is left to the next pool."""
        with self._change:
            self._closed = True
            self._waiting.clear()
            self._change.notify_all()
        for worker in self._workers:
            worker.stop()
        if self._started:
            for thread in self._threads:
                thread.join()
        for worker in self._workers:
            worker.finish()

    def __enter__(self) -> RenderPool:
        """Return the pool."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the pool."""
        self.close()

    def _serve(self, worker: _Worker) -> None:
        """Hand one worker clip after clip, until the pool is closed."""
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closed or bool(self._waiting))
                if self._closed:
                    return
                clip = self._waiting.popleft()
            trouble = worker.draw(clip)
            with self._change:
                if self._closed:
                    return
                self._note(clip, trouble)
                self._change.notify_all()

    def _note(self, clip: str, trouble: str | None) -> None:
        path = self.library.path(clip, "error")
        self._known[clip] = "done" if trouble is None else "failed"
        with contextlib.suppress(OSError):  # a full disk must not stop the others
            if trouble is None:
                self._failures.pop(clip, None)
                path.unlink(missing_ok=True)
            else:
                self._failures[clip] = trouble
                write_atomic(path, trouble + "\n")


class _Worker:
    """Keep one process that draws; start another where it died."""

    def __init__(self, library: ClipLibrary) -> None:
        self._library = library
        self._process: subprocess.Popen[str] | None = None
        self._said: Any = None
        self._lock = threading.Lock()
        self._stopped = False

    def draw(self, clip: str) -> str | None:
        """Draw a clip and return None, or why it could not be drawn."""
        try:
            process = self._ready()
        except OSError as error:
            return f"no process to draw in: {error}"
        if process is None:
            return "the pool was closed"
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        try:
            answer = self._ask(process, clip)
        finally:
            timer.cancel()
        if answer is not None:
            trouble = answer.get("error")
            return None if trouble is None else str(trouble)
        code = process.wait()
        self._clear_away(clip)
        return f"the process that drew it ended with code {code}{self._last_words()}"

    def stop(self) -> None:
        """Kill the process, if there is one, and start no other."""
        with self._lock:
            self._stopped = True
            process = self._process
        if process is not None:
            process.kill()

    def finish(self) -> None:
        """Let go of the process that was stopped."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.communicate()
        if self._said is not None:
            self._said.close()

    def _ready(self) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._stopped:
                return None
            if self._process is None or self._process.poll() is not None:
                self._process = self._start()
            return self._process

    def _start(self) -> subprocess.Popen[str]:
        if self._said is not None:
            self._said.close()
        self._said = tempfile.TemporaryFile("w+b")  # noqa: SIM115  (lives as long as the process)
        # A session of its own: Ctrl-C at the terminal is for the program, which closes the pool.
        return subprocess.Popen(
            [sys.executable, "-m", "simrl.preferences.clips.worker", str(self._library.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, **dict.fromkeys(SINGLE, "1")},
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )

    def _ask(self, process: subprocess.Popen[str], clip: str) -> dict[str, Any] | None:
        """Send an id and return the answer, None if the process died over it."""
        if process.stdin is None or process.stdout is None:
            return None
        try:
            process.stdin.write(clip + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            answer: dict[str, Any] = json.loads(line) if line else {}
        except (OSError, ValueError):
            process.kill()
            return None
        return answer or None

    def _clear_away(self, clip: str) -> None:
        """Delete the temporary files of a process that died over a clip."""
        for folder in (VIDEOS, REPLAYS):
            for path in Path(self._library.folder / folder).glob(f".{clip}.*"):
                path.unlink(missing_ok=True)

    def _last_words(self) -> str:
        self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, self._said.tell() - 2000))
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        return f": {lines[-1].strip()}" if lines else ""
