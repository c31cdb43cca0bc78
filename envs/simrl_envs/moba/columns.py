"""Squeeze numbers over time into short JSON.

A column is a list of integers: the first value, then the change at each step (most are 0 or one
digit).  A column that never changes is the bare number.  The replay page undoes it by summing.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

Column: TypeAlias = int | list[int]


def column(values: np.ndarray, scale: float = 1.0) -> Column:
    """Return a column of `values` `[T]` times `scale`, rounded."""
    whole = np.rint(np.asarray(values, np.float64) * scale).astype(np.int64)
    if len(whole) == 0:
        return 0
    if (whole == whole[0]).all():
        return int(whole[0])
    return [int(v) for v in np.diff(whole, prepend=0)]


def values_of(packed: Column, length: int) -> np.ndarray:
    """Undo `column`: return int64 `[length]`."""
    if isinstance(packed, int):
        return np.full(length, packed, np.int64)
    return np.cumsum(np.asarray(packed, np.int64))


def runs(values: np.ndarray) -> list[int]:
    """Return `values` `[T]` as value, count, value, count, ..."""
    whole = np.asarray(values).astype(np.int64)
    starts = np.flatnonzero(np.diff(whole, prepend=whole[:1] - 1))
    counts = np.diff(starts, append=len(whole))
    return [int(v) for pair in zip(whole[starts], counts, strict=True) for v in pair]


def spans(alive: np.ndarray, breaks: np.ndarray | None = None) -> list[tuple[int, int]]:
    """Return the stretches `(first, end)` of `alive` `[T]` bool.

    Args:
        alive: Whether a slot holds something.
        breaks: Where something else has taken the slot, although it was never seen empty.
    """
    live = np.asarray(alive, bool)
    cut = np.zeros(len(live), bool) if breaks is None else np.asarray(breaks, bool)
    before = np.concatenate([[False], live[:-1]])
    after = np.concatenate([live[1:], [False]])
    cut_next = np.concatenate([cut[1:], [False]])
    starts = np.flatnonzero(live & (~before | cut))
    ends = np.flatnonzero(live & (~after | cut_next)) + 1
    return [(int(first), int(end)) for first, end in zip(starts, ends, strict=True)]
