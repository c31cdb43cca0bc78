"""Eliminate the equalities of a whole-body program and solve what is left, in compiled code."""

from __future__ import annotations

import numpy as np
from numba import njit

from simrl_controllers.wbc.active_set import FAILED, SOLVED, least_distance
from simrl_controllers.wbc.build import (
    BUILT,
    EQUALITY,
    Motors,
    Program,
    build_weighted,
    empty_program,
    residual,
    write_result,
)
from simrl_controllers.wbc.inputs import WbcInputs

Array = np.ndarray

NOT_SEEN = 2
"""Status of a row with a number that is not finite."""

_LEAST_PIVOT = 1e-7
"""Share of a row's largest number below which what is left of it counts as nothing."""


@njit(cache=True, nogil=True, error_model="numpy")
def solve_rows(
    inputs: WbcInputs,
    motors: Motors,
    num_facets: int,
    inner: bool,
    acceleration_weight: float,
    force_weight: float,
    tolerance: float,
    acceleration: Array,
    force: Array,
    torque: Array,
    status: Array,
    gap: Array,
) -> None:
    """Build and solve all rows; `status` `[n]` becomes SOLVED, FAILED or NOT_SEEN.

    A row counts as failed too if its residual, written to `gap` `[n]`, is above `tolerance`; as not
    seen if a number of it is not finite.
    """
    nv, lines = inputs.mass.shape[1], inputs.limit_low.shape[1]
    for row in range(len(inputs.mass)):
        standing = 0
        for contact in range(inputs.active.shape[1]):
            standing += inputs.active[row, contact]
        program = empty_program(
            nv, standing, inputs.active.shape[1], lines, num_facets, len(motors.free),
            len(motors.limited),
        )  # fmt: skip
        outcome = build_weighted(
            row, inputs, motors, num_facets, inner, acceleration_weight, force_weight, program
        )
        status[row], gap[row] = NOT_SEEN, np.inf
        if outcome != BUILT:
            continue
        x = np.empty(len(program.linear))
        status[row], gap[row] = solve_reduced(program, x)
        if status[row] == SOLVED and not gap[row] <= tolerance:
            status[row] = FAILED
        if status[row] == SOLVED:
            write_result(
                row, inputs, motors, program.standing[:standing], x, acceleration, force, torque
            )


@njit(cache=True, nogil=True, error_model="numpy")
def solve_reduced(program: Program, x: Array) -> tuple[int, float]:
    """Solve a program for x `[n]` in the variables that its equalities leave free.

    Equalities that depend on each other, limits that conflict and digits lost all count as
    failures, which other solvers then look into.

    Returns:
        SOLVED or FAILED, and the KKT residual of the reduced program or the largest error of an
        equality, whichever is greater.
    """
    n = len(x)
    equal = np.flatnonzero(program.sense == EQUALITY)
    free, point, basis = _eliminate(program.rows[equal], program.lower[equal])
    d = len(free)
    if d == 0:
        return FAILED, np.inf
    bent, slope = np.zeros((n, d)), program.linear.copy()  # H Z, and H x0 + g
    for i in range(n):
        for k in range(n):
            value = program.cost[i, k]
            if value != 0.0:
                slope[i] += value * point[k]
                for j in range(d):
                    bent[i, j] += value * basis[k, j]
    cost, linear = np.zeros((d, d)), np.zeros(d)
    for k in range(n):
        for i in range(d):
            value = basis[k, i]
            if value != 0.0:
                linear[i] += value * slope[k]
                for j in range(d):
                    cost[i, j] += value * bent[k, j]
    rows, low, high = _reduce_limits(program, len(equal), point, basis)
    y, duals = np.empty(d), np.empty(len(low))
    if _solve(cost, linear, rows, low, high, y, duals) != SOLVED:
        return FAILED, np.inf
    gap = residual(cost, linear, rows, low, high, y, duals)
    for i in range(n):
        x[i] = point[i]
        for j in range(d):
            x[i] += basis[i, j] * y[j]
    for line in equal:
        error = program.lower[line]
        for i in range(n):
            error -= program.rows[line, i] * x[i]
        gap = max(gap, abs(error) / max(1.0, abs(program.lower[line])))
    return SOLVED, gap


@njit(cache=True, nogil=True, error_model="numpy")
def _eliminate(rows: Array, target: Array) -> tuple[Array, Array, Array]:
    """Solve equalities for as many variables, by Gauss-Jordan steps with pivots along rows.

    Returns:
        The free variables `[d]`, none if a row depends on the others; a point `[n]` and a basis
        `[n, d]`: all solutions are point + basis y.
    """
    lines, n = rows.shape
    work, value = rows.copy(), target.copy()
    pivot, taken = np.empty(lines, np.int64), np.zeros(n, np.bool_)
    for line in range(lines):
        best, largest = -1, 0.0
        for j in range(n):
            largest = max(largest, abs(rows[line, j]))
            if not taken[j] and (best < 0 or abs(work[line, j]) > abs(work[line, best])):
                best = j
        if best < 0 or not abs(work[line, best]) > _LEAST_PIVOT * largest:
            return np.empty(0, np.int64), np.zeros(n), np.zeros((n, 0))
        scale = 1.0 / work[line, best]
        for j in range(n):
            work[line, j] *= scale
        value[line] *= scale
        for other in range(lines):
            factor = work[other, best]
            if other != line and factor != 0.0:
                for j in range(n):
                    work[other, j] -= factor * work[line, j]
                value[other] -= factor * value[line]
        pivot[line], taken[best] = best, True
    free = np.flatnonzero(~taken)
    point, basis = np.zeros(n), np.zeros((n, len(free)))
    for j in range(len(free)):
        basis[free[j], j] = 1.0
    for line in range(lines):
        point[pivot[line]] = value[line]
        for j in range(len(free)):
            basis[pivot[line], j] = -work[line, free[j]]
    return free, point, basis


@njit(cache=True, nogil=True, error_model="numpy")
def _reduce_limits(
    program: Program, num_equal: int, point: Array, basis: Array
) -> tuple[Array, Array, Array]:
    """Write the inequalities over y."""
    n, d = basis.shape
    count = len(program.sense) - num_equal
    rows, low, high = np.zeros((count, d)), np.empty(count), np.empty(count)
    at = 0
    for line in range(len(program.sense)):
        if program.sense[line] == EQUALITY:
            continue
        shift = 0.0
        for i in range(n):
            value = program.rows[line, i]
            if value != 0.0:
                shift += value * point[i]
                for j in range(d):
                    rows[at, j] += value * basis[i, j]
        low[at], high[at] = program.lower[line] - shift, program.upper[line] - shift
        at += 1
    return rows, low, high


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(
    cost: Array, linear: Array, rows: Array, low: Array, high: Array, y: Array, duals: Array
) -> int:
    """Solve in the coordinates u = L' y in which the cost H = L L' is a distance."""
    d = len(linear)
    root = np.zeros((d, d))
    for i in range(d):
        for j in range(i + 1):
            total = cost[i, j]
            for k in range(j):
                total -= root[i, k] * root[j, k]
            if i == j:
                if not total > 0.0:
                    return FAILED
                root[i, i] = np.sqrt(total)
            else:
                root[i, j] = total / root[j, j]
    shifted, turned, u = linear.copy(), rows.copy(), np.empty(d)
    for i in range(d):
        for j in range(i):
            shifted[i] -= root[i, j] * shifted[j]
        shifted[i] /= root[i, i]
    for line in range(len(low)):
        row = turned[line]
        for i in range(d):
            total = row[i]
            for j in range(i):
                total -= root[i, j] * row[j]
            row[i] = total / root[i, i]
    if least_distance(shifted, turned, low, high, u, duals) != SOLVED:
        return FAILED
    for i in range(d - 1, -1, -1):
        total = u[i]
        for j in range(i + 1, d):
            total -= root[j, i] * y[j]
        y[i] = total / root[i, i]
    return SOLVED
