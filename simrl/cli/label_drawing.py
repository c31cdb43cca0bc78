"""Show how far the drawing of clips has come, and what failed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from simrl.preferences.clips.pool import RenderPool

LOOK_SECONDS = 0.5
SHOWN = 5
"""Failures that are told one by one."""


def show_drawing(
    pool: RenderPool, console: Console, stopped: Callable[[], bool] = lambda: False
) -> None:
    """Show a line until all clips are drawn or `stopped()`, then tell what failed."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        line = progress.add_task("drawing clips")
        finished = False
        while not finished and not stopped():
            finished = pool.wait(LOOK_SECONDS)
            done, total, failed = pool.progress()
            progress.update(line, completed=done + failed, total=total)
    tell_failures(pool, console)


def tell_failures(pool: RenderPool, console: Console) -> None:
    """Print a line for each of the first clips that could not be drawn, and how many more."""
    failures = pool.failures()
    for clip, why in list(failures.items())[:SHOWN]:
        console.print(f"clip {clip} cannot be drawn: {why}", markup=False, style="yellow")
    if len(failures) > SHOWN:
        console.print(f"... and {len(failures) - SHOWN} more", style="yellow")


class DrawingDisplay:
    """Show the drawing beside something else, in a thread of its own."""

    def __init__(self, pool: RenderPool, console: Console) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=show_drawing, args=(pool, console, self._stop.is_set), daemon=True
        )

    def __enter__(self) -> DrawingDisplay:
        """Start showing."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop showing."""
        self._stop.set()
        self._thread.join()
