"""Say how sure an average is."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri, stdtrit


def wilson(successes: float, n: float, *, confidence: float = 0.95) -> tuple[float, float, float]:
    """Return the rate `successes / n` and its Wilson score interval (Wilson 1927).

    `successes` may be fractional: a draw counted as half a win.  With n = 0 the rate is NaN and the
    interval is everything, 0 to 1.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be from 0 to n, got {successes} of {n}")
    if n == 0:
        return math.nan, 0.0, 1.0
    z = float(ndtri(0.5 + confidence / 2))
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return rate, low, high


def mean_interval(values: np.ndarray, *, confidence: float = 0.95) -> tuple[float, float, float]:
    """Return the mean of `values` `[n]` and its Student-t interval; NaN bounds for one value."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"expected at least one value in one axis, got shape {values.shape}")
    mean = float(values.mean())
    if len(values) == 1:
        return mean, math.nan, math.nan
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    half = float(stdtrit(len(values) - 1, 0.5 + confidence / 2)) * error
    return mean, mean - half, mean + half
