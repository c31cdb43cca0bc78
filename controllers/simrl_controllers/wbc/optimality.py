"""Hold lines of a quadratic program to the optimality conditions, in compiled code."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def line_gap(value: float, low: float, high: float, dual: float, scale: float) -> float:
    """Return by how much a line low <= value <= high is violated, or not complementary.

    It is relative: limits count in units of their own size where that is above 1, the multiplier
    `dual` (above 0 at the upper limit) in units of `scale`.
    """
    worst = 0.0
    if np.isfinite(high):
        worst = max(worst, (value - high) / max(1.0, abs(high)))
    if np.isfinite(low):
        worst = max(worst, (low - value) / max(1.0, abs(low)))
    limit = high if dual > 0.0 else low
    size = abs(dual) / scale
    if np.isfinite(limit):
        return max(worst, min(size, abs(limit - value) / max(1.0, abs(limit))))
    return max(worst, size)
