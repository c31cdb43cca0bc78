"""Draw random numbers for many rows at once, each row from its own counter-based stream.

A row's stream is one uint64 in its record (field "rng"), so a snapshot holds it and a row never
depends on the others.  The generator is SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable
pseudorandom number generators").
"""

from __future__ import annotations

import numpy as np

from simrl.core.seeding import child_seed

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""Step of the counter: 2^64 divided by the golden ratio."""


def first_states(seed: int, num_rows: int) -> np.ndarray:
    """Return the first counter of each row `[num_rows]` uint64; row i's does not depend on N."""
    base = np.uint64(child_seed(seed, "env"))
    return _mix(base + GOLDEN * np.arange(1, num_rows + 1, dtype=np.uint64))


def uniform(rows: np.ndarray, low: float, high: float, count: int) -> np.ndarray:
    """Draw floats in `[low, high)`, `[B, count]` float64, and advance `rows["rng"]` `[B]`."""
    unit = (_bits(rows, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return low + (high - low) * unit


def integers(rows: np.ndarray, bound: int, count: int) -> np.ndarray:
    """Draw integers in `[0, bound)`, `[B, count]` int64, and advance `rows["rng"]` `[B]`."""
    return np.floor(uniform(rows, 0.0, float(bound), count)).astype(np.int64)


def _bits(rows: np.ndarray, count: int) -> np.ndarray:
    steps = GOLDEN * np.arange(1, count + 1, dtype=np.uint64)
    bits = _mix(rows["rng"][:, None] + steps)
    rows["rng"] += steps[-1]
    return bits


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
