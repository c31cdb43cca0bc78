"""Solve a whole-body program whose limits conflict by giving way where it costs least."""

from __future__ import annotations

import numpy as np

from simrl_controllers.qp import QPResult, QPSettings, solve_qp
from simrl_controllers.wbc.build import Program

Array = np.ndarray

SETTINGS = QPSettings(reuse=False, check=False)


def relax(program: Program, hard: Array, weight: float) -> tuple[QPResult, Array, float]:
    """Solve with a slack s on each row that is not `hard` `[m]` bool: lower <= A x + s <= upper.

    Each slack costs 1/2 weight s^2.  Whatever is asked of accelerations can be met by slacks, so
    that a solution exists.

    Returns:
        The result over x and the slacks, x `[n]`, and the largest slack.
    """
    n, soft = len(program.linear), np.flatnonzero(~hard)
    extra = len(soft)
    cost = np.zeros((n + extra, n + extra))
    cost[:n, :n] = program.cost
    cost[n:, n:] = weight * np.eye(extra)
    rows = np.zeros((len(program.lower), n + extra))
    rows[:, :n] = program.rows
    rows[soft, n + np.arange(extra)] = 1.0
    linear = np.concatenate([program.linear, np.zeros(extra)])
    result = solve_qp(
        cost, linear, rows, program.lower, program.upper, solver="quadprog", settings=SETTINGS
    )
    slack = float(np.abs(result.x[n:]).max(initial=0.0))
    return result, result.x[:n], slack
