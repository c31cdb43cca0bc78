"""Span the plane in which friction acts, in compiled code."""

from __future__ import annotations

import numpy as np
from numba import njit

Array = np.ndarray


@njit(cache=True, nogil=True)
def tangents(normal: Array, tangent: Array, other: Array) -> None:
    """Write two unit vectors `[3]` at right angles to a unit normal `[3]` and to each other.

    The first is the world's x axis laid into the plane, which must not be the normal itself.
    """
    size = np.sqrt(max(1.0 - normal[0] ** 2, 1e-12))
    for i in range(3):
        tangent[i] = ((1.0 if i == 0 else 0.0) - normal[0] * normal[i]) / size
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        other[i] = normal[j] * tangent[k] - normal[k] * tangent[j]
