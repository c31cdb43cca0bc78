"""Schedules of coefficients over a run."""

from __future__ import annotations

from typing import Literal

ScheduleKind = Literal["constant", "linear"]


def scheduled(kind: ScheduleKind, start: float, end: float, progress: float) -> float:
    """Return the coefficient at `progress` (0 at the start of the run, 1 at its end).

    "constant" stays at `start`; "linear" goes straight from `start` to `end`.  Progress beyond
    [0, 1] counts as the nearer end.
    """
    if kind == "constant":
        return start
    if kind == "linear":
        share = min(1.0, max(0.0, progress))
        return start + share * (end - start)
    raise ValueError(f"unknown schedule {kind!r}; the schedules are constant, linear")
