"""Draw random numbers inside kernels, from a stream that lives in a float64 state row.

A row holds its stream (an integer below 2^53) and how many numbers it has drawn; both are exact as
floats, so a snapshot continues with the same draws.  The mixing is SplitMix64 (Steele, Lea and
Flood 2014, "Fast splittable pseudorandom number generators").
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simrl.core.seeding import child_seed

STREAM, DRAWS, STEPS, TIME, ENDED = 0, 1, 2, 3, 4
"""Columns that open every row: stream, draws made, steps, seconds, whether the episode ended."""
HEADER = 5
"""Number of the columns that open every row."""


def first_streams(seed: int, num_rows: int) -> np.ndarray:
    """Return the stream of each row `[num_rows]` float64; row i's does not depend on N."""
    return np.array(
        [float(child_seed(seed, f"vehicle/{row}") >> 10) for row in range(num_rows)], np.float64
    )


@njit(cache=True, nogil=True)
def peek(stream: float, index: int) -> float:
    """Return number `index` of a stream, in `[0, 1)`, without moving on."""
    z = np.uint64(stream) * np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(index + 1) * np.uint64(0xD1B54A32D192ED03)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) * 2.0**-53


@njit(cache=True, nogil=True)
def draw(row: np.ndarray, low: float, high: float) -> float:
    """Draw the row's next number, in `[low, high)`."""
    unit = peek(row[STREAM], int(row[DRAWS]))
    row[DRAWS] += 1.0
    return low + (high - low) * unit
