"""Random numbers as a pure function of (stream, counter, purpose), for many rows at once.

Nothing is advanced: what a row draws at a step follows from its stream and the step's number, so a
row restored from a snapshot draws the same, and no row depends on another.  The mixer is that of
SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
"""

from __future__ import annotations

import zlib

import numpy as np

from simrl.core.seeding import child_seed

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio."""
_STEP = np.uint64(0xD1B54A32D192ED03)
_HALF = np.uint64(0xFFFFFFFF)


def first_streams(seed: int, num_rows: int) -> np.ndarray:
    """Return the first stream of each row `[num_rows]` uint64; row i's does not depend on N."""
    base = np.uint64(child_seed(seed, "env"))
    return _mix(base + GOLDEN * np.arange(1, num_rows + 1, dtype=np.uint64))


def next_streams(streams: np.ndarray) -> np.ndarray:
    """Return the stream of each row's next episode, `[B]` uint64."""
    return _mix(streams + GOLDEN)


def split(streams: np.ndarray) -> np.ndarray:
    """Write streams `[B]` uint64 as pairs of exactly representable floats `[B, 2]`."""
    halves = np.empty((len(streams), 2))
    halves[:, 0] = streams >> np.uint64(32)
    halves[:, 1] = streams & _HALF
    return halves


def join(halves: np.ndarray) -> np.ndarray:
    """Undo `split`."""
    return (halves[:, 0].astype(np.uint64) << np.uint64(32)) | halves[:, 1].astype(np.uint64)


class Draw:
    """Draw for B rows at one counter each.

    Args:
        streams: `[B]` uint64, one for each row's episode.
        counters: `[B]`, the number of the step (0 at the start of an episode).
    """

    def __init__(self, streams: np.ndarray, counters: np.ndarray) -> None:
        self._base = _mix(streams + _STEP * counters.astype(np.uint64))

    def __len__(self) -> int:
        return len(self._base)

    def uniform(self, purpose: str, count: int) -> np.ndarray:
        """Return floats in `[0, 1)`, `[B, count]`; the same purpose gives the same numbers."""
        salt = np.uint64(zlib.crc32(purpose.encode())) << np.uint64(20)
        steps = GOLDEN * (salt + np.arange(1, count + 1, dtype=np.uint64))
        bits = _mix(self._base[:, None] + steps)
        return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def between(
        self, purpose: str, low: np.ndarray | float, high: np.ndarray | float, count: int
    ) -> np.ndarray:
        """Return floats in `[low, high)`, `[B, count]`."""
        return low + (np.asarray(high) - low) * self.uniform(purpose, count)

    def normal(self, purpose: str, count: int) -> np.ndarray:
        """Return standard normal floats `[B, count]` (Box and Muller 1958)."""
        unit = self.uniform(purpose, 2 * count)
        radius = np.sqrt(-2.0 * np.log(1.0 - unit[:, :count]))
        return radius * np.cos(2.0 * np.pi * unit[:, count:])


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
