"""Solve small quadratic programs by the dual active-set method, in compiled code.

    minimise 1/2 u u + v u   subject to   low <= M u <= high

Source: "A numerically stable dual method for solving strictly convex quadratic programs" (Goldfarb
and Idnani 1983), in the coordinates in which the cost is a distance.  Meant for a dozen variables:
the few active rows' products are factored anew at each step, which is simple and keeps no error.
"""

from __future__ import annotations

import numpy as np
from numba import njit

Array = np.ndarray

SOLVED, FAILED = 0, 1
"""How a solve ended; a failure may be an infeasible problem, or digits lost."""
_ROUNDING = 1e-10
"""Excess of a limit, in units of its row's length, that counts as none."""


@njit(cache=True, nogil=True, error_model="numpy")
def least_distance(
    linear: Array, rows: Array, low: Array, high: Array, u: Array, duals: Array
) -> int:
    """Write the solution u `[d]` and the multipliers `[m]`, positive where `high` binds.

    Returns:
        SOLVED or FAILED.
    """
    m, d = rows.shape
    for i in range(d):
        u[i] = -linear[i]
    duals[:] = 0.0
    length = np.empty(m)
    for line in range(m):
        length[line] = np.sqrt(_dot(rows[line], rows[line]))
    active = np.empty(d + 1, np.int64)  # rows that bind, and on which side
    side = np.empty(d + 1)
    pull = np.zeros(d + 1)
    root, share, step = np.empty((d + 1, d + 1)), np.empty(d + 1), np.empty(d)
    count = 0
    for _ in range(10 * (m + d)):
        worst, sign, excess = _most_exceeded(rows, low, high, length, u)
        if worst < 0:
            for k in range(count):
                duals[active[k]] = side[k] * pull[k]
            return SOLVED
        added = 0.0
        while True:
            if not _solve_active(rows, active, side, count, worst, sign, root, share):
                return FAILED
            for i in range(d):
                step[i] = sign * rows[worst, i]
            for k in range(count):
                for i in range(d):
                    step[i] -= share[k] * side[k] * rows[active[k], i]
            slope = sign * _dot(step, rows[worst])
            full = excess / slope if slope > 1e-13 * length[worst] ** 2 else np.inf
            first, drop = np.inf, -1
            for k in range(count):
                if share[k] > 0.0 and pull[k] < first * share[k]:
                    first, drop = pull[k] / share[k], k
            move = min(first, full)
            if move == np.inf:
                return FAILED
            for k in range(count):
                pull[k] = max(0.0, pull[k] - move * share[k])
            added += move
            if full < np.inf:
                for i in range(d):
                    u[i] -= move * step[i]
                excess -= move * slope
            if move == full:
                break
            for k in range(drop, count - 1):
                active[k], side[k], pull[k] = active[k + 1], side[k + 1], pull[k + 1]
            count -= 1
        if count == d:
            return FAILED
        active[count], side[count], pull[count] = worst, sign, added
        count += 1
    return FAILED


@njit(cache=True, nogil=True, error_model="numpy")
def _dot(a: Array, b: Array) -> float:
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _most_exceeded(
    rows: Array, low: Array, high: Array, length: Array, u: Array
) -> tuple[int, float, float]:
    """Return the row whose limit is exceeded most for its length, the side, and by how much."""
    worst, sign, excess, most = -1, 1.0, 0.0, _ROUNDING
    for line in range(len(low)):
        value = _dot(rows[line], u)
        above, below = value - high[line], low[line] - value
        over = max(above, below)
        scale = max(length[line], 1e-12)
        room = _ROUNDING * abs(value)
        if over - room > most * scale:
            most, worst, excess = (over - room) / scale, line, over
            sign = 1.0 if above > below else -1.0
    return worst, sign, excess


@njit(cache=True, nogil=True, error_model="numpy")
def _solve_active(
    rows: Array,
    active: Array,
    side: Array,
    count: int,
    worst: int,
    sign: float,
    root: Array,
    share: Array,
) -> bool:
    """Write how much of a row the active ones make up: the least squares of their combination."""
    for a in range(count):
        for b in range(a + 1):
            total = side[a] * side[b] * _dot(rows[active[a]], rows[active[b]])
            for k in range(b):
                total -= root[a, k] * root[b, k]
            if a == b:
                if not total > 0.0:
                    return False
                root[a, a] = np.sqrt(total)
            else:
                root[a, b] = total / root[b, b]
    for a in range(count):
        total = side[a] * sign * _dot(rows[active[a]], rows[worst])
        for k in range(a):
            total -= root[a, k] * share[k]
        share[a] = total / root[a, a]
    for a in range(count - 1, -1, -1):
        for k in range(a + 1, count):
            share[a] -= root[k, a] * share[k]
        share[a] /= root[a, a]
    return True
