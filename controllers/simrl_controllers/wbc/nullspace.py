"""Split the freedom that higher levels leave into what a level uses and what it does not."""

from __future__ import annotations

import numpy as np
from numba import njit

Array = np.ndarray

SMALL = 1e-6
"""Cost of the directions that a level does not see, as a share of what it sees of the others."""


@njit(cache=True, nogil=True)
def decompose(task: Array, least: float) -> tuple[int, Array]:
    """Find which directions of z a task T z `[p, d]` sees, by more than `least`.

    Householder QR of T' with column pivoting (Businger and Golub 1965).

    Returns:
        The rank r, and an orthogonal matrix `[d, d]`: T is blind to all but the first r columns.
    """
    lines, size = task.shape
    work = task.copy()  # row j of `work` is column j of T'
    reflections = np.zeros((min(lines, size), size))
    rank = 0
    for k in range(min(lines, size)):
        best, longest = k, -1.0
        for line in range(k, lines):
            length = 0.0
            for i in range(k, size):
                length += work[line, i] ** 2
            if length > longest:
                best, longest = line, length
        if not longest > least**2:
            break
        if best != k:
            for i in range(size):
                work[k, i], work[best, i] = work[best, i], work[k, i]
        _reflect_rows(work, reflections[k], k, np.sqrt(longest))
        rank += 1
    basis = np.eye(size)
    for k in range(rank - 1, -1, -1):
        _apply(reflections[k], k, basis)
    return rank, basis


@njit(cache=True, nogil=True)
def _reflect_rows(work: Array, vector: Array, k: int, length: float) -> None:
    """Write the unit vector that reflects line k onto axis k, and reflect the later lines."""
    lines, size = work.shape
    sign = 1.0 if work[k, k] >= 0.0 else -1.0
    total = 0.0
    for i in range(k, size):
        vector[i] = work[k, i]
    vector[k] += sign * length
    for i in range(k, size):
        total += vector[i] ** 2
    scale = 1.0 / np.sqrt(total)
    for i in range(k, size):
        vector[i] *= scale
    for line in range(k, lines):
        along = 0.0
        for i in range(k, size):
            along += vector[i] * work[line, i]
        for i in range(k, size):
            work[line, i] -= 2.0 * along * vector[i]


@njit(cache=True, nogil=True)
def _apply(vector: Array, k: int, basis: Array) -> None:
    """Multiply `basis` by I - 2 v v' from the left, whose first k columns it leaves."""
    size = len(vector)
    along = np.zeros(size)
    for i in range(k, size):
        for j in range(k, size):
            along[j] += vector[i] * basis[i, j]
    for i in range(k, size):
        twice = 2.0 * vector[i]
        for j in range(k, size):
            basis[i, j] -= twice * along[j]


@njit(cache=True, nogil=True)
def multiply(left: Array, right: Array) -> Array:
    """Return the product `[a, c]` of `[a, b]` and `[b, c]`, skipping zeros of `left`."""
    out = np.zeros((left.shape[0], right.shape[1]))
    for i in range(left.shape[0]):
        for k in range(left.shape[1]):
            value = left[i, k]
            if value != 0.0:
                for j in range(right.shape[1]):
                    out[i, j] += value * right[k, j]
    return out


@njit(cache=True, nogil=True)
def normal_equations(task: Array, error: Array, rank: int) -> tuple[Array, Array]:
    """Return T' T `[d, d]` and -T' error `[d]` of a task blind to all but `rank` columns.

    The other directions get a small cost of their own, so that the program has one minimum.
    """
    lines, size = task.shape
    cost, linear = np.zeros((size, size)), np.zeros(size)
    trace = 0.0
    for i in range(rank):
        for line in range(lines):
            linear[i] -= task[line, i] * error[line]
        for j in range(i, rank):
            total = 0.0
            for line in range(lines):
                total += task[line, i] * task[line, j]
            cost[i, j] = total
            cost[j, i] = total
        trace += cost[i, i]
    small = SMALL * trace / rank if rank else 1.0
    for i in range(rank, size):
        cost[i, i] = small
    return cost, linear


@njit(cache=True, nogil=True)
def solve_definite(cost: Array, linear: Array) -> Array:
    """Return the minimum `[d]` of 1/2 z H z + g z by Cholesky's factors."""
    size = len(linear)
    root, out = cost.copy(), -linear
    for k in range(size):
        root[k, k] = np.sqrt(root[k, k])
        for i in range(k + 1, size):
            root[i, k] /= root[k, k]
            for j in range(k + 1, i + 1):
                root[i, j] -= root[i, k] * root[j, k]
    for i in range(size):
        for j in range(i):
            out[i] -= root[i, j] * out[j]
        out[i] /= root[i, i]
    for i in range(size - 1, -1, -1):
        for j in range(i + 1, size):
            out[i] -= root[j, i] * out[j]
        out[i] /= root[i, i]
    return out
