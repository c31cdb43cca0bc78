"""Write the quadratic program of one level of the strict hierarchy, in compiled code.

A level moves x only along `basis`, the directions that no higher level sees.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simrl_controllers.wbc.build import BUILT, EQUALITY, Motors, Program, build_limits
from simrl_controllers.wbc.inputs import WbcInputs
from simrl_controllers.wbc.nullspace import (
    decompose,
    multiply,
    normal_equations,
    solve_definite,
)

Array = np.ndarray


@njit(cache=True, nogil=True)
def begin(
    row: int,
    inputs: WbcInputs,
    motors: Motors,
    num_facets: int,
    inner: bool,
    tolerance: float,
    program: Program,
) -> tuple[int, Array, Array]:
    """Meet the equations of motion, then the standing contacts, then the caller's equalities.

    Returns:
        BUILT or NOT_FINITE, a point x `[n]`, and the directions that are left `[n, d]`.
    """
    n = len(program.linear)
    x, basis = np.zeros(n), np.eye(n)
    outcome = build_limits(row, inputs, motors, num_facets, inner, program)
    if outcome != BUILT:
        return outcome, x, basis
    num_free = len(motors.free)
    num_equal = num_free + 3 * ((n - inputs.mass.shape[1]) // 3)
    num_limits = inputs.limit_low.shape[1]
    wanted = np.flatnonzero(program.sense[len(program.sense) - num_limits :] == EQUALITY)
    wanted += len(program.sense) - num_limits
    for stage in range(3):
        if stage == 0:
            lines, target = program.rows[:num_free], program.lower[:num_free]
        elif stage == 1:
            lines = program.rows[num_free:num_equal]
            target = program.lower[num_free:num_equal]
        else:
            lines, target = program.rows[wanted], program.lower[wanted]
        rank, turned, cost, linear = _split(lines, target - _times(lines, x), basis, tolerance)
        if rank:
            step = solve_definite(cost[:rank, :rank].copy(), linear[:rank])
            x += _times(turned[:, :rank], step)
        basis = turned[:, rank:].copy()
    for line in wanted:  # met, and left alone by every level
        program.lower[line], program.upper[line] = -np.inf, np.inf
    return BUILT, x, basis


@njit(cache=True, nogil=True)
def level_program(
    row: int,
    inputs: WbcInputs,
    program: Program,
    num_equal: int,
    line_level: Array,
    force_level: int,
    level: int,
    x: Array,
    basis: Array,
    tolerance: float,
) -> tuple[int, Array, Array, Array, Array, Array, Array]:
    """Write the program over z of x + basis z for the tasks of one level.

    Returns:
        How many directions the level sees, the basis with those first `[n, d]`, then H, g, and the
        limits' A, lower, upper.
    """
    lines, target = _level_lines(row, inputs, program, line_level, force_level, level, len(x))
    return _program(lines, target, program, num_equal, x, basis, tolerance)


@njit(cache=True, nogil=True)
def rest_program(
    program: Program,
    num_equal: int,
    num_dofs: int,
    acceleration_weight: float,
    force_weight: float,
    x: Array,
    basis: Array,
    tolerance: float,
) -> tuple[int, Array, Array, Array, Array, Array, Array]:
    """Write the program that keeps accelerations and forces small in what no level asks for."""
    n = len(x)
    lines = np.zeros((n, n))
    for i in range(n):
        lines[i, i] = np.sqrt(acceleration_weight if i < num_dofs else force_weight)
    return _program(lines, np.zeros(n), program, num_equal, x, basis, tolerance)


@njit(cache=True, nogil=True)
def _program(
    lines: Array,
    target: Array,
    program: Program,
    num_equal: int,
    x: Array,
    basis: Array,
    tolerance: float,
) -> tuple[int, Array, Array, Array, Array, Array, Array]:
    rank, turned, cost, linear = _split(lines, target - _times(lines, x), basis, tolerance)
    limits = program.rows[num_equal:]
    at = _times(limits, x)
    return (
        rank,
        turned,
        cost,
        linear,
        multiply(limits, turned),
        program.lower[num_equal:] - at,
        program.upper[num_equal:] - at,
    )


@njit(cache=True, nogil=True)
def _split(
    lines: Array, error: Array, basis: Array, tolerance: float
) -> tuple[int, Array, Array, Array]:
    """Turn the basis so that the lines see its first directions only; H and g over it."""
    reduced = multiply(lines, basis)
    largest = 0.0  # of the lines before higher levels took their part
    for line in range(lines.shape[0]):
        length = 0.0
        for i in range(lines.shape[1]):
            length += lines[line, i] ** 2
        largest = max(largest, length)
    rank, turn = decompose(reduced, tolerance * np.sqrt(largest))
    cost, linear = normal_equations(multiply(reduced, turn), error, rank)
    return rank, multiply(basis, turn), cost, linear


@njit(cache=True, nogil=True)
def _level_lines(
    row: int,
    inputs: WbcInputs,
    program: Program,
    line_level: Array,
    force_level: int,
    level: int,
    n: int,
) -> tuple[Array, Array]:
    """Gather the lines of a level, each times the root of its weight."""
    nv = inputs.mass.shape[1]
    standing = (n - nv) // 3
    lines = np.zeros((len(line_level) + n - nv, n))
    target = np.zeros(len(lines))
    count = 0
    for line in range(len(line_level)):
        weight = inputs.task_weight[row, line]
        if line_level[line] == level and weight > 0.0:
            root = np.sqrt(weight)
            for i in range(nv):
                lines[count, i] = root * inputs.task_jacobian[row, line, i]
            target[count] = root * inputs.task_target[row, line]
            count += 1
    for index in range(standing if force_level == level else 0):
        contact = program.standing[index]
        for axis in range(3):
            weight = inputs.force_weight[row, contact, axis]
            if weight > 0.0:
                root = np.sqrt(weight)
                lines[count, nv + 3 * index + axis] = root
                target[count] = root * inputs.force_target[row, contact, axis]
                count += 1
    return lines[:count], target[:count]


@njit(cache=True, nogil=True)
def _times(matrix: Array, vector: Array) -> Array:
    out = np.zeros(matrix.shape[0])
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            out[i] += matrix[i, j] * vector[j]
    return out
