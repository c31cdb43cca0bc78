"""Write the quadratic program of whole-body control for one row, in compiled code.

    minimise 1/2 x H x + g x   subject to   lower <= A x <= upper

x holds the accelerations and the forces of the standing contacts.  Torques are eliminated by the
driven rows of the equations of motion; its undriven rows and the standing contacts come first in A
as equalities, then torque limits, friction planes and normal forces, and the caller's own limits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from simrl_controllers.wbc.cone import tangents
from simrl_controllers.wbc.inputs import WbcInputs
from simrl_controllers.wbc.optimality import line_gap

Array = np.ndarray

BUILT, NOT_FINITE = 0, 1
"""What `build_limits` returns."""
EQUALITY = 5
"""daqp's mark of an equality."""


class Motors(NamedTuple):
    """Hold which accelerations motors drive, and how hard they may pull."""

    driven: Array
    """Their indices `[nu]`."""
    free: Array
    """Indices of the others `[nv - nu]`."""
    limited: Array
    """Motors with a torque limit, of `driven` `[l]`."""
    low: Array
    """Least torques `[nu]` [N m]."""
    high: Array
    """Greatest torques `[nu]` [N m]."""


class Program(NamedTuple):
    """Hold a quadratic program of n variables and m limits, written anew for each row."""

    cost: Array
    """H `[n, n]`."""
    linear: Array
    """g `[n]`."""
    rows: Array
    """A `[m, n]`."""
    lower: Array
    """`[m]`."""
    upper: Array
    """`[m]`."""
    sense: Array
    """daqp's kind of each limit `[m]`."""
    standing: Array
    """Room for the indices of the standing contacts `[K]`."""


@njit(cache=True, nogil=True)
def empty_program(
    num_dofs: int,
    standing: int,
    num_contacts: int,
    num_limits: int,
    num_facets: int,
    num_free: int,
    num_limited: int,
) -> Program:
    """Make room for a row with so many standing contacts and limits of its own.

    `num_free` accelerations have no motor, `num_limited` motors a torque limit.
    """
    equal = num_free + 3 * standing
    n = num_dofs + 3 * standing
    m = equal + num_limited + (num_facets + 1) * standing + num_limits
    sense = np.zeros(m, np.int32)
    sense[:equal] = EQUALITY
    return Program(
        np.zeros((n, n)),
        np.zeros(n),
        np.zeros((m, n)),
        np.zeros(m),
        np.zeros(m),
        sense,
        np.zeros(num_contacts, np.int64),
    )


@njit(cache=True, nogil=True)
def build_weighted(
    row: int,
    inputs: WbcInputs,
    motors: Motors,
    num_facets: int,
    inner: bool,
    acceleration_weight: float,
    force_weight: float,
    program: Program,
) -> int:
    """Write the whole program of a row; BUILT, or NOT_FINITE."""
    outcome = build_limits(row, inputs, motors, num_facets, inner, program)
    if outcome != BUILT:
        return outcome
    nv = inputs.mass.shape[1]
    cost, linear = program.cost, program.linear
    cost[:] = 0.0
    linear[:] = 0.0
    add_tasks(
        inputs.task_jacobian[row], inputs.task_target[row], inputs.task_weight[row], cost, linear
    )
    for i in range(nv):
        cost[i, i] += acceleration_weight
    standing = (len(linear) - nv) // 3
    for index in range(standing):
        contact = program.standing[index]
        for axis in range(3):
            at = nv + 3 * index + axis
            weight = inputs.force_weight[row, contact, axis] + force_weight
            cost[at, at] = weight
            linear[at] = -weight * inputs.force_target[row, contact, axis]
    return BUILT


@njit(cache=True, nogil=True)
def add_tasks(jacobian: Array, target: Array, weight: Array, cost: Array, linear: Array) -> None:
    """Add J' W J to `cost` and -J' W target to `linear`; lines may be sparse or switched off."""
    lines, nv = jacobian.shape
    filled = np.empty(nv, np.int64)
    for line in range(lines):
        if weight[line] == 0.0:
            continue
        count = 0
        for i in range(nv):
            if jacobian[line, i] != 0.0:
                filled[count] = i
                count += 1
        for a in range(count):
            i = filled[a]
            scaled = weight[line] * jacobian[line, i]
            linear[i] -= scaled * target[line]
            for b in range(count):
                cost[i, filled[b]] += scaled * jacobian[line, filled[b]]


@njit(cache=True, nogil=True)
def build_limits(
    row: int, inputs: WbcInputs, motors: Motors, num_facets: int, inner: bool, program: Program
) -> int:
    """Write A and its limits, and which contacts stand; BUILT, or NOT_FINITE."""
    if not _row_finite(row, inputs):
        return NOT_FINITE
    rows, lower, upper = program.rows, program.lower, program.upper
    standing = 0
    for contact in range(inputs.active.shape[1]):
        if inputs.active[row, contact]:
            program.standing[standing] = contact
            standing += 1
    used = program.standing[:standing]
    rows[:] = 0.0
    at = _motion_rows(row, inputs, motors, used, rows, lower, upper)
    at = _contact_rows(row, inputs, used, at, rows, lower, upper)
    at = _torque_rows(row, inputs, motors, used, at, rows, lower, upper)
    at = _friction_rows(row, inputs, used, num_facets, inner, at, rows, lower, upper)
    for line in range(inputs.limit_low.shape[1]):
        for i in range(inputs.limit_jacobian.shape[2]):
            rows[at, i] = inputs.limit_jacobian[row, line, i]
        lower[at], upper[at] = inputs.limit_low[row, line], inputs.limit_high[row, line]
        program.sense[at] = EQUALITY if lower[at] == upper[at] else 0
        at += 1
    return BUILT


@njit(cache=True, nogil=True)
def _motion_line(row: int, inputs: WbcInputs, dof: int, used: Array, out: Array) -> None:
    """Write the coefficients of M qacc - J' force at one degree of freedom."""
    nv = inputs.mass.shape[1]
    for i in range(nv):
        out[i] = inputs.mass[row, dof, i]
    for index in range(len(used)):
        for axis in range(3):
            out[nv + 3 * index + axis] = -inputs.contact_jacobian[row, used[index], axis, dof]


@njit(cache=True, nogil=True)
def _motion_rows(
    row: int,
    inputs: WbcInputs,
    motors: Motors,
    used: Array,
    rows: Array,
    lower: Array,
    upper: Array,
) -> int:
    for at in range(len(motors.free)):
        dof = motors.free[at]
        _motion_line(row, inputs, dof, used, rows[at])
        lower[at] = -inputs.bias[row, dof]
        upper[at] = lower[at]
    return len(motors.free)


@njit(cache=True, nogil=True)
def _contact_rows(
    row: int, inputs: WbcInputs, used: Array, at: int, rows: Array, lower: Array, upper: Array
) -> int:
    for index in range(len(used)):
        for axis in range(3):
            for i in range(inputs.mass.shape[1]):
                rows[at, i] = inputs.contact_jacobian[row, used[index], axis, i]
            lower[at] = inputs.contact_target[row, used[index], axis]
            upper[at] = lower[at]
            at += 1
    return at


@njit(cache=True, nogil=True)
def _torque_rows(
    row: int,
    inputs: WbcInputs,
    motors: Motors,
    used: Array,
    at: int,
    rows: Array,
    lower: Array,
    upper: Array,
) -> int:
    for motor in motors.limited:
        dof = motors.driven[motor]
        _motion_line(row, inputs, dof, used, rows[at])
        lower[at] = motors.low[motor] - inputs.bias[row, dof]
        upper[at] = motors.high[motor] - inputs.bias[row, dof]
        at += 1
    return at


@njit(cache=True, nogil=True)
def _friction_rows(
    row: int,
    inputs: WbcInputs,
    used: Array,
    num_facets: int,
    inner: bool,
    at: int,
    rows: Array,
    lower: Array,
    upper: Array,
) -> int:
    tangent, other = np.empty(3), np.empty(3)
    slope = inputs.friction[row] * (np.cos(np.pi / num_facets) if inner else 1.0)
    nv = inputs.mass.shape[1]
    for index in range(len(used)):
        normal = inputs.normal[row, used[index]]
        column = nv + 3 * index
        tangents(normal, tangent, other)
        for facet in range(num_facets):
            angle = 2.0 * np.pi * facet / num_facets
            c, s = np.cos(angle), np.sin(angle)
            for i in range(3):
                rows[at, column + i] = c * tangent[i] + s * other[i] - slope * normal[i]
            lower[at], upper[at] = -np.inf, 0.0
            at += 1
        for i in range(3):
            rows[at, column + i] = normal[i]
        lower[at] = inputs.min_force[row, used[index]]
        upper[at] = inputs.max_force[row, used[index]]
        at += 1
    return at


@njit(cache=True, nogil=True)
def _row_finite(row: int, inputs: WbcInputs) -> bool:
    total = _zeros(inputs.mass[row]) + _zeros(inputs.bias[row])
    total += _zeros(inputs.task_jacobian[row]) + _zeros(inputs.task_target[row])
    total += _zeros(inputs.task_weight[row]) + _zeros(inputs.contact_jacobian[row])
    total += _zeros(inputs.contact_target[row]) + _zeros(inputs.normal[row])
    total += _zeros(inputs.min_force[row]) + 0.0 * inputs.friction[row]
    total += _zeros(inputs.force_target[row]) + _zeros(inputs.force_weight[row])
    total += _zeros(inputs.limit_jacobian[row])
    for line in range(inputs.limit_low.shape[1]):
        if np.isnan(inputs.limit_low[row, line]) or np.isnan(inputs.limit_high[row, line]):
            return False
    for contact in range(inputs.max_force.shape[1]):
        if np.isnan(inputs.max_force[row, contact]):
            return False
    return total == 0.0


@njit(cache=True, nogil=True)
def _zeros(values: Array) -> float:
    """Return 0, or NaN if a number is not finite."""
    total = 0.0
    for value in values.flat:
        total += 0.0 * value
    return total


@njit(cache=True, nogil=True)
def residual(
    cost: Array, linear: Array, rows: Array, lower: Array, upper: Array, x: Array, duals: Array
) -> float:
    """Return the largest violation of the optimality conditions, scaled as in `kkt_residual`.

    `duals` `[m]` are positive where the upper limit holds x back.  Infinite if any number is not
    finite.
    """
    n, m = len(x), len(duals)
    pull = np.zeros(n)
    for line in range(m):
        if duals[line] != 0.0:
            for i in range(n):
                pull[i] += rows[line, i] * duals[line]
    scale, worst = 1.0, 0.0
    for i in range(n):
        curve = 0.0
        for j in range(n):
            curve += cost[i, j] * x[j]
        gradient = curve + linear[i] + pull[i]
        if not np.isfinite(gradient):
            return np.inf
        scale = max(scale, abs(curve), abs(pull[i]), abs(linear[i]))
        worst = max(worst, abs(gradient))
    worst /= scale
    for line in range(m):
        value = 0.0
        for i in range(n):
            value += rows[line, i] * x[i]
        gap = line_gap(value, lower[line], upper[line], duals[line], scale)
        worst = max(worst, gap)
    return worst


@njit(cache=True, nogil=True)
def write_result(
    row: int,
    inputs: WbcInputs,
    motors: Motors,
    used: Array,
    x: Array,
    acceleration: Array,
    force: Array,
    torque: Array,
) -> None:
    """Write accelerations, forces and the torques that they need into row `row`."""
    nv = inputs.mass.shape[1]
    for i in range(nv):
        acceleration[row, i] = x[i]
    for index in range(len(used)):
        for axis in range(3):
            force[row, used[index], axis] = x[nv + 3 * index + axis]
    for motor in range(len(motors.driven)):
        dof = motors.driven[motor]
        total = inputs.bias[row, dof]
        for i in range(nv):
            total += inputs.mass[row, dof, i] * x[i]
        for index in range(len(used)):
            for axis in range(3):
                total -= (
                    inputs.contact_jacobian[row, used[index], axis, dof] * x[nv + 3 * index + axis]
                )
        torque[row, motor] = total
