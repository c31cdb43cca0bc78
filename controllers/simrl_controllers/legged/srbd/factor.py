"""Turn a condensed QP into a least-distance problem and check its solution, in compiled code."""

from __future__ import annotations

import numpy as np
from numba import njit

from simrl_controllers.wbc.optimality import line_gap


@njit(cache=True, nogil=True)
def factor(cost: np.ndarray, upper: np.ndarray, inverse: np.ndarray) -> bool:
    """Write U `[n, n]` with H = U' U and its inverse, upper triangular; False if H is not definite.

    Both loops run along rows, which the compiler turns into vector instructions.
    """
    n = len(cost)
    for i in range(n):
        for j in range(i, n):
            upper[i, j] = cost[i, j]
    for k in range(n):
        pivot = upper[k, k]
        if not pivot > 0.0:
            return False
        scale = 1.0 / np.sqrt(pivot)
        for j in range(k, n):
            upper[k, j] *= scale
        for i in range(k + 1, n):
            factor_ki = upper[k, i]
            for j in range(i, n):
                upper[i, j] -= factor_ki * upper[k, j]
    for i in range(n - 1, -1, -1):
        for j in range(n):
            inverse[i, j] = 0.0
        inverse[i, i] = 1.0
        for k in range(i + 1, n):
            factor_ik = upper[i, k]
            for j in range(k, n):
                inverse[i, j] -= factor_ik * inverse[k, j]
        scale = 1.0 / upper[i, i]
        for j in range(i, n):
            inverse[i, j] *= scale
    return True


@njit(cache=True, nogil=True)
def distance_problem(
    inverse: np.ndarray,
    linear: np.ndarray,
    rows: np.ndarray,
    out_linear: np.ndarray,
    out_rows: np.ndarray,
) -> None:
    """Write the problem in y = U x: 1/2 y y + v y with v = U^-T g and rows M = A U^-1.

    `rows` `[k, r, 3]` touch three variables each.
    """
    n = len(linear)
    for j in range(n):
        out_linear[j] = 0.0
    for i in range(n):
        for j in range(i, n):
            out_linear[j] += linear[i] * inverse[i, j]
    count, width, _ = rows.shape
    for foot in range(count):
        first = inverse[3 * foot]
        second = inverse[3 * foot + 1]
        third = inverse[3 * foot + 2]
        for row in range(width):
            a, b, c = rows[foot, row, 0], rows[foot, row, 1], rows[foot, row, 2]
            out = out_rows[foot * width + row]
            for j in range(3 * foot):
                out[j] = 0.0
            for j in range(3 * foot, n):
                out[j] = a * first[j] + b * second[j] + c * third[j]


@njit(cache=True, nogil=True)
def expand(inverse: np.ndarray, distance: np.ndarray, out: np.ndarray) -> None:
    """Write x = U^-1 y `[n]`."""
    n = len(distance)
    for i in range(n):
        total = 0.0
        for j in range(i, n):
            total += inverse[i, j] * distance[j]
        out[i] = total


@njit(cache=True, nogil=True)
def foot_residual(
    cost: np.ndarray,
    linear: np.ndarray,
    rows: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    x: np.ndarray,
    duals: np.ndarray,
) -> float:
    """Return the largest violation of the optimality conditions, scaled as in `kkt_residual`.

    `rows` `[k, r, 3]` touch three variables each; `duals` `[k r]` are positive where the upper
    limit holds x back.  Infinite if any number is not finite.
    """
    n = len(x)
    count, width, _ = rows.shape
    scale, worst = 1.0, 0.0
    for foot in range(count):
        for i in range(3):
            at = 3 * foot + i
            curve, pull = 0.0, 0.0
            for j in range(n):
                curve += cost[at, j] * x[j]
            for row in range(width):
                pull += rows[foot, row, i] * duals[foot * width + row]
            gradient = curve + linear[at] + pull
            if not np.isfinite(gradient):
                return np.inf
            scale = max(scale, abs(curve), abs(pull), abs(linear[at]))
            worst = max(worst, abs(gradient))
    worst /= scale
    for foot in range(count):
        for row in range(width):
            at = foot * width + row
            value = 0.0
            for i in range(3):
                value += rows[foot, row, i] * x[3 * foot + i]
            gap = line_gap(value, lower[at], upper[at], duals[at], scale)
            worst = max(worst, gap)
    return worst
