"""Solve a whole-body program whose limits conflict by giving way where it costs least."""

from __future__ import annotations

import numpy as np

from simrl_controllers.qp import QPResult, QPSettings, solve_qp
from simrl_controllers.wbc.build import Motors, Program

Array = np.ndarray

SETTINGS = QPSettings(reuse=False, check=False)


def relax(program: Program, weight: Array) -> tuple[QPResult, Array, float]:
    """Solve with a slack s on each row of finite `weight` `[m]`: lower <= A x + s <= upper.

    Each slack costs 1/2 weight s^2.  Whatever is asked of accelerations can be met by slacks, so
    that a solution exists.

    Returns:
        The result over x and the slacks, x `[n]`, and the largest slack.
    """
    n, soft = len(program.linear), np.flatnonzero(np.isfinite(weight))
    extra = len(soft)
    # Slacks in units that make them cost like x: solvers lose digits to costs far apart.
    typical = max(float(np.trace(program.cost)) / n, 1e-300)
    unit = np.sqrt(typical / weight[soft])
    cost = np.zeros((n + extra, n + extra))
    cost[:n, :n] = program.cost
    cost[n:, n:] = typical * np.eye(extra)
    rows = np.zeros((len(program.lower), n + extra))
    rows[:, :n] = program.rows
    rows[soft, n + np.arange(extra)] = unit
    linear = np.concatenate([program.linear, np.zeros(extra)])
    result = solve_qp(cost, linear, rows, program.lower, program.upper, settings=SETTINGS)
    slack = float(np.abs(unit * result.x[n:]).max(initial=0.0))
    return result, result.x[:n], slack


def slack_weights(
    program: Program, motors: Motors, num_contacts: int, prices: Array, weight: float
) -> Array:
    """Return the weight of each row's slack `[m]`, infinite where it never gives way.

    Those are the equations of motion, friction, normal forces and the caller's equalities.
    """
    weights = np.full(len(program.lower), np.inf)
    first = len(motors.free)
    weights[first : first + 3 * num_contacts + len(motors.limited)] = weight
    if len(prices):
        equal = program.lower[-len(prices) :] == program.upper[-len(prices) :]
        weights[-len(prices) :] = np.where(equal, np.inf, weight * prices)
    return weights
