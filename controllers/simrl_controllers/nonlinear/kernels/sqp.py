"""Iterate linearisation, quadratic program and step: a Gauss-Newton SQP, one call a plan.

With one full step a call this is the real-time iteration ("Real-time optimization and nonlinear
model predictive control of processes governed by differential-algebraic equations", Diehl et al.
2002).  With the line search it is a globalised SQP: an L1 merit function of cost, violations and
the dynamics' gaps, and a Levenberg term that grows where no step helps.
"""

from __future__ import annotations

import numpy as np

from simrl_controllers.nonlinear.kernels.active_set import solve_active_set
from simrl_controllers.nonlinear.kernels.interior import solve_interior
from simrl_controllers.nonlinear.kernels.linearise import Problem, evaluate, linearise, penalty
from simrl_controllers.nonlinear.kernels.problem import QpPoint, StageQp, qp_residual, soft_value
from simrl_controllers.nonlinear.kernels.riccati import Work
from simrl_controllers.nonlinear.kernels.small import (
    add_scaled,
    copy,
    copy_vector,
    kernel,
    larger,
)

CONVERGED, STEPPED, QP_FAILED, NOT_FINITE, NO_STEP = range(5)
"""How an optimisation ended; the first two leave a plan to use."""
COST, KKT, ITERATIONS, QP_RESIDUAL, GAP, SWEEPS, STATUS, NUM_STATS = range(8)
"""Where each figure stands in `stats`."""
SMALLEST_STEP = 1.0 / 64.0
MOST_LEVENBERG = 1e6


@kernel
def optimise(
    problem: Problem,
    qp: StageQp,
    point: QpPoint,
    work: Work,
    costates: np.ndarray,
    x: np.ndarray,
    u: np.ndarray,
    first: np.ndarray,
    iterations: int,
    tolerance: float,
    levenberg: float,
    search: bool,
    stats: np.ndarray,
) -> None:
    """Improve the plan x `[N + 1, nx]`, u `[N, nu]` in place, from the state `first` `[nx]`.

    Ends when a step is smaller than `tolerance` (CONVERGED) or after `iterations` (STEPPED); any
    other status leaves the last good plan.  `stats` `[NUM_STATS]` gets the figures.
    """
    num_stages = u.shape[0]
    trial_x, trial_u = np.empty(x.shape), np.empty(u.shape)
    copy_vector(x[0], first)
    status, damping, sweeps = STEPPED, levenberg, 0
    count = 0
    while count < iterations:
        cost, price, total, worst = linearise(problem, qp, x, u, damping)
        count += 1
        stats[COST], stats[GAP] = cost + price, worst
        if not np.isfinite(cost + price + total):
            status = NOT_FINITE
            break
        sweeps = solve_active_set(qp, point, work)
        if sweeps < 0:
            sweeps = solve_interior(qp, point, work, 1e-9)
        if sweeps < 0:
            status = QP_FAILED
            break
        residual = qp_residual(qp, point, costates)
        stats[QP_RESIDUAL] = residual
        if not residual <= 1e-4 * (1.0 + _largest(costates)):
            status = QP_FAILED
            break
        stats[KKT] = larger(_stationarity(qp, point), worst)
        step = 1.0
        if search:
            step = _search(problem, qp, point, costates, x, u, trial_x, trial_u, cost, price, total)
            if step == 0.0:
                damping = max(10.0 * damping, 1e-3)
                if damping > MOST_LEVENBERG:
                    status = NO_STEP
                    break
                continue
            damping = max(0.2 * damping, levenberg)
        add_scaled(x, step, point.x)
        add_scaled(u, step, point.u)
        _clip(u, problem.low, problem.high)
        size = max(_largest(point.x), _largest(point.u))
        if step == 1.0 and size < tolerance:
            status = CONVERGED
            break
    stats[ITERATIONS], stats[SWEEPS] = count, sweeps
    if status <= STEPPED and not np.isfinite(x[num_stages, 0] + u[0, 0]):
        status = NOT_FINITE
    stats[STATUS] = status


@kernel
def _search(
    problem: Problem,
    qp: StageQp,
    point: QpPoint,
    costates: np.ndarray,
    x: np.ndarray,
    u: np.ndarray,
    trial_x: np.ndarray,
    trial_u: np.ndarray,
    cost: float,
    price: float,
    total: float,
) -> float:
    """Return the longest step that lowers the merit function enough, 0 if none does."""
    weight = 1.1 * _largest(costates) + 1.0
    slope = -weight * total
    for k in range(x.shape[0]):
        for i in range(x.shape[1]):
            slope += qp.q[k, i] * point.x[k, i]
        if k < u.shape[0]:
            for j in range(u.shape[1]):
                slope += qp.r[k, j] * point.u[k, j]
        for i in range(qp.c.shape[1]):
            after = soft_value(qp, point.x, point.u, k, i)
            slope += penalty(after, qp.w1[i], qp.w2[i]) - penalty(qp.c[k, i], qp.w1[i], qp.w2[i])
    merit = cost + price + weight * total
    step = 1.0
    while step >= SMALLEST_STEP:
        copy(trial_x, x)
        copy(trial_u, u)
        add_scaled(trial_x, step, point.x)
        add_scaled(trial_u, step, point.u)
        new_cost, new_price, new_total = evaluate(problem, qp, trial_x, trial_u)
        after = new_cost + new_price + weight * new_total
        if after <= merit + 1e-4 * step * min(slope, 0.0) + 1e-10 * abs(merit):
            return step
        step *= 0.5
    return 0.0


@kernel
def _stationarity(qp: StageQp, point: QpPoint) -> float:
    """Return the largest entry of H dz: how far the nonlinear conditions were from holding."""
    worst = 0.0
    num_stages, nu = point.u.shape
    nx = point.x.shape[1]
    for k in range(num_stages + 1):
        for i in range(nx):
            total = 0.0
            for j in range(nx):
                total += qp.Q[k, i, j] * point.x[k, j]
            if k < num_stages:
                for j in range(nu):
                    total += qp.S[k, j, i] * point.u[k, j]
            worst = larger(worst, total)
        if k < num_stages:
            for j in range(nu):
                total = 0.0
                for i in range(nx):
                    total += qp.S[k, j, i] * point.x[k, i]
                for i in range(nu):
                    total += qp.R[k, j, i] * point.u[k, i]
                worst = larger(worst, total)
    return worst


@kernel
def _largest(matrix: np.ndarray) -> float:
    worst = 0.0
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            worst = larger(worst, matrix[i, j])
    return worst


@kernel
def _clip(u: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Take away the rounding by which inputs leave their limits."""
    for k in range(u.shape[0]):
        for j in range(u.shape[1]):
            u[k, j] = min(max(u[k, j], low[j]), high[j])
