"""Condense the MPC into a small dense QP over the forces of the standing feet, in compiled code.

    minimise 1/2 x H x + g x   subject to   lower <= A x <= upper

x holds three numbers for every step and foot that is planned on the ground; swinging feet have no
columns.  The blocks of H are J_ia' G_il J_lb with one 3 x 3 matrix G for each pair of steps, got
from sums over the later steps, so that building it costs less than solving it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simrl_controllers.legged.srbd.dynamics import (
    euler_rates,
    gyroscopic,
    inverse3,
    lever,
    loaded,
    positive3,
    rotation,
)
from simrl_controllers.wbc.cone import tangents


@njit(cache=True, nogil=True)
def model_row(
    state: np.ndarray,
    reference: np.ndarray,
    feet: np.ndarray,
    contact: np.ndarray,
    body: tuple[float, np.ndarray, np.ndarray, float],
    payload: tuple[float, np.ndarray],
    rates: np.ndarray,
    levers: np.ndarray,
    free: np.ndarray,
    target: np.ndarray,
    offset: np.ndarray,
    columns: np.ndarray,
) -> tuple[int, float]:
    """Write the linear model of one row.

    Args:
        state: rpy, position, omega, velocity `[12]`.
        reference: The same after each step `[N, 12]`.
        feet: Feet from the centre of mass during each step, world frame `[N, F, 3]`.
        contact: Feet on the ground during each step `[N, F]`.
        body: Mass [kg], inertia about the centre of mass `[3, 3]`, gravity `[3]`, step [s].
        payload: Its mass [kg] and place from the centre of mass in the body frame `[3]`.
        rates: Written: maps from angular velocity to Euler rates `[N, 3, 3]`.
        levers: Written: maps from force to angular acceleration `[N, F, 3, 3]`.
        free: Written: states after each step without forces `[N, 12]`, of the loaded body.
        target: Written: reference of the loaded body, its yaw near the state's `[N, 12]`.
        offset: Written: how far the load moves the centre of mass after each step `[N, 3]`.
        columns: Written: step and foot of each three columns of the QP `[N F, 2]`.

    Returns:
        The number of standing feet over all steps, -1 if the loaded body is none, and its mass.
    """
    mass, inertia, gravity, dt = body
    steps, num_feet = contact.shape
    shift, carried, inverse = np.empty(3), np.empty((3, 3)), np.empty((3, 3))
    total = loaded(mass, inertia, payload[0], payload[1], shift, carried)
    if not (total > 0.0 and positive3(carried)):
        return -1, total
    inverse3(carried, inverse)
    turn = 2.0 * np.pi * np.round((state[2] - reference[0, 2]) / (2.0 * np.pi))
    rotated, work, arm, moved = np.empty((3, 3)), np.empty((3, 3)), np.empty(3), np.empty(3)
    place, speed, angle = np.empty(3), np.empty(3), state[:3].copy()
    spin, twist = state[6:9].copy(), np.empty(3)
    rotation(state[:3], rotated)
    _turned(rotated, shift, moved)
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        place[i] = state[3 + i] + moved[i]
        speed[i] = state[9 + i] + state[6 + j] * moved[k] - state[6 + k] * moved[j]
    count = 0
    for step in range(steps):
        before = state if step == 0 else target[step - 1]
        euler_rates(before[:3], rates[step])
        gyroscopic(rotated, carried, inverse, before[6:9], twist)
        for foot in range(num_feet):
            if contact[step, foot]:
                for i in range(3):
                    arm[i] = feet[step, foot, i] - moved[i]
                lever(rotated, inverse, arm, work, levers[step, foot])
                columns[count, 0], columns[count, 1] = step, foot
                count += 1
            else:
                levers[step, foot] = 0.0
        for i in range(12):
            target[step, i] = reference[step, i]
        target[step, 2] += turn
        rotation(target[step, :3], rotated)
        _turned(rotated, shift, moved)
        time = dt * (step + 1)
        for i in range(3):
            j, k = (i + 1) % 3, (i + 2) % 3
            offset[step, i] = moved[i]
            target[step, 3 + i] += moved[i]
            target[step, 9 + i] += reference[step, 6 + j] * moved[k]
            target[step, 9 + i] -= reference[step, 6 + k] * moved[j]
            for m in range(3):
                angle[i] += rates[step, i, m] * (dt * spin[m] + 0.5 * dt * dt * twist[m])
            free[step, i] = angle[i]
            free[step, 3 + i] = place[i] + time * speed[i] + 0.5 * time * time * gravity[i]
            free[step, 9 + i] = speed[i] + time * gravity[i]
        for i in range(3):
            spin[i] += dt * twist[i]
            free[step, 6 + i] = spin[i]
    return count, total


@njit(cache=True, nogil=True)
def _turned(rotated: np.ndarray, vector: np.ndarray, out: np.ndarray) -> None:
    for i in range(3):
        out[i] = rotated[i, 0] * vector[0] + rotated[i, 1] * vector[1] + rotated[i, 2] * vector[2]


@njit(cache=True, nogil=True)
def cost_row(
    rates: np.ndarray,
    levers: np.ndarray,
    free: np.ndarray,
    target: np.ndarray,
    columns: np.ndarray,
    weights: np.ndarray,
    force_weight: float,
    share: np.ndarray,
    mass: float,
    dt: float,
    cost: np.ndarray,
    linear: np.ndarray,
) -> None:
    """Write H `[n, n]` and g `[n]` for the n / 3 feet of `columns`.

    `weights` `[12]` are those of the state, `share` `[N, 3]` the force of each standing foot that
    costs nothing.
    """
    steps = len(free)
    # Later steps j see a force of step i through dt^2 (P_j - C_i), P_j the sum of rates before j.
    middle = np.zeros((steps, 3, 3))
    product, summed = np.zeros((steps, 3, 3)), np.zeros((steps, 3, 3))
    gradient = np.zeros((steps, 12))
    _suffix_sums(rates, free, target, weights, middle, product, summed, gradient)
    count = len(columns)
    pair, half = np.empty((3, 3)), np.empty((3, 3))
    for b in range(count):
        late, foot_b = columns[b, 0], columns[b, 1]
        right = levers[late, foot_b]
        before = -1
        for a in range(b + 1):
            early = columns[a, 0]
            if early != before:
                _pair(middle, product, summed, weights, early, late, steps, dt, pair)
                for i in range(3):
                    for j in range(3):
                        half[i, j] = (
                            pair[i, 0] * right[0, j]
                            + pair[i, 1] * right[1, j]
                            + pair[i, 2] * right[2, j]
                        )
                before = early
            left = levers[early, columns[a, 1]]
            for i in range(3):
                for j in range(3):
                    value = (
                        left[0, i] * half[0, j] + left[1, i] * half[1, j] + left[2, i] * half[2, j]
                    )
                    cost[3 * a + i, 3 * b + j] = value
            _add_translation(weights, early, late, steps, mass, dt, cost, 3 * a, 3 * b)
        for i in range(3):
            cost[3 * b + i, 3 * b + i] += force_weight
            value = -force_weight * share[late, i]
            value += dt / mass * gradient[late, 9 + i]
            value += dt * dt / mass * gradient[late, 3 + i]
            for j in range(3):
                value += right[j, i] * (dt * dt * gradient[late, j] + dt * gradient[late, 6 + j])
            linear[3 * b + i] = value
    for i in range(3 * count):
        for j in range(i):
            cost[i, j] = cost[j, i]


@njit(cache=True, nogil=True)
def _suffix_sums(
    rates: np.ndarray,
    free: np.ndarray,
    target: np.ndarray,
    weights: np.ndarray,
    middle: np.ndarray,
    product: np.ndarray,
    summed: np.ndarray,
    gradient: np.ndarray,
) -> None:
    """Sum P' Q P, Q P and the weighted errors over the states after each step."""
    steps = len(free)
    before = np.zeros((steps + 1, 3, 3))
    for step in range(steps):
        for i in range(3):
            for j in range(3):
                before[step + 1, i, j] = before[step, i, j] + rates[step, i, j]
                middle[step, i, j] = before[step, i, j] + 0.5 * rates[step, i, j]
    for step in range(steps - 1, -1, -1):
        past = before[step + 1]
        if step + 1 < steps:
            product[step] = product[step + 1]
            summed[step] = summed[step + 1]
        for i in range(3):
            for j in range(3):
                summed[step, i, j] += weights[i] * past[i, j]
                for k in range(3):
                    product[step, i, j] += weights[k] * past[k, i] * past[k, j]
    error, place = np.zeros(3), np.zeros(3)
    angle, spin = np.zeros(3), np.zeros(3)
    timed, speed = np.zeros(3), np.zeros(3)
    for step in range(steps - 1, -1, -1):
        for i in range(3):
            wrong = weights[i] * (free[step, i] - target[step, i])
            error[i] += wrong
            for k in range(3):
                angle[k] += before[step + 1, i, k] * wrong
            away = weights[3 + i] * (free[step, 3 + i] - target[step, 3 + i])
            place[i] += away
            timed[i] += (step + 1) * away
            spin[i] += weights[6 + i] * (free[step, 6 + i] - target[step, 6 + i])
            speed[i] += weights[9 + i] * (free[step, 9 + i] - target[step, 9 + i])
        for i in range(3):
            value = angle[i]
            for k in range(3):
                value -= middle[step, k, i] * error[k]
            gradient[step, i] = value
            gradient[step, 3 + i] = timed[i] - (step + 0.5) * place[i]
            gradient[step, 6 + i] = spin[i]
            gradient[step, 9 + i] = speed[i]


@njit(cache=True, nogil=True)
def _pair(
    middle: np.ndarray,
    product: np.ndarray,
    summed: np.ndarray,
    weights: np.ndarray,
    early: int,
    late: int,
    steps: int,
    dt: float,
    out: np.ndarray,
) -> None:
    """Write G `[3, 3]` of two steps: the cost that their angular accelerations share."""
    rest = steps - late
    first, second = middle[early], middle[late]
    quartic = dt**4
    for i in range(3):
        for j in range(3):
            value = product[late, i, j]
            for k in range(3):
                value -= first[k, i] * summed[late, k, j] + summed[late, k, i] * second[k, j]
                value += rest * weights[k] * first[k, i] * second[k, j]
            out[i, j] = quartic * value
        out[i, i] += dt * dt * rest * weights[6 + i]


@njit(cache=True, nogil=True)
def _add_translation(
    weights: np.ndarray,
    early: int,
    late: int,
    steps: int,
    mass: float,
    dt: float,
    cost: np.ndarray,
    row: int,
    column: int,
) -> None:
    """Add what two forces share through position and velocity to the diagonal of their block."""
    total = 0.0
    for j in range(late + 1, steps + 1):
        total += (j - early - 0.5) * (j - late - 0.5)
    for i in range(3):
        value = weights[3 + i] * dt**4 * total + weights[9 + i] * dt * dt * (steps - late)
        cost[row + i, column + i] += value / mass**2


@njit(cache=True, nogil=True)
def limit_rows(
    columns: np.ndarray,
    normals: np.ndarray,
    friction: float,
    min_force: float,
    max_force: float,
    num_facets: int,
    inner: bool,
    rows: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> None:
    """Write the limits of each foot: its planes and then its normal force.

    `rows` `[k, K + 1, 3]` are the coefficients on the three forces of foot k of `columns`; `lower`
    and `upper` `[k (K + 1)]` their limits.  The K planes touch the friction cone from outside, or,
    if `inner`, meet on it.
    """
    tangent, other = np.empty(3), np.empty(3)
    slope = friction * np.cos(np.pi / num_facets) if inner else friction
    width = num_facets + 1
    for index in range(len(columns)):
        normal = normals[columns[index, 1]]
        tangents(normal, tangent, other)
        for facet in range(num_facets):
            angle = 2.0 * np.pi * facet / num_facets
            c, s = np.cos(angle), np.sin(angle)
            for i in range(3):
                rows[index, facet, i] = c * tangent[i] + s * other[i] - slope * normal[i]
            lower[index * width + facet] = -np.inf
            upper[index * width + facet] = 0.0
        for i in range(3):
            rows[index, num_facets, i] = normal[i]
        lower[index * width + num_facets] = min_force
        upper[index * width + num_facets] = max_force
