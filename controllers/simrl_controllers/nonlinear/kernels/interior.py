# ruff: noqa: N803, N806 (matrices are named as in the papers)
"""Solve the stage-wise program by a primal-dual interior-point method over Riccati sweeps.

Mehrotra's predictor and corrector ("On the implementation of a primal-dual interior point method",
1992), with the Newton system solved stage by stage (Rao, Wright, Rawlings 1998, "Application of
interior-point methods to model predictive control").  Slacks of inequalities are feasible from the
start, since inputs begin inside their bounds and a soft constraint's violation is free to rise.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simrl_controllers.nonlinear.kernels.problem import QpPoint, StageQp, soft_value
from simrl_controllers.nonlinear.kernels.riccati import Work, factorise, substitute
from simrl_controllers.nonlinear.kernels.small import (
    add_product,
    add_scaled,
    add_transposed_product,
    copy,
    copy_vector,
    fill,
    kernel,
)

MAX_ITERATIONS = 60


class Pairs(NamedTuple):
    """Hold the slacks of inequalities, or anything with one number for each inequality."""

    low: np.ndarray
    """`[N, nu]` inputs above their lower bounds."""
    high: np.ndarray
    """`[N, nu]` inputs below their upper bounds."""
    above: np.ndarray
    """`[N + 1, nh]` violation above the value of a soft constraint."""
    slack: np.ndarray
    """`[N + 1, nh]` violation above zero."""


@kernel
def solve_interior(qp: StageQp, point: QpPoint, work: Work, tolerance: float) -> int:
    """Write the solution into `point`; return the iterations made, negative if it was not reached.

    `tolerance` bounds the mean complementarity and, relative to the first, the other residuals.
    """
    num_stages, nu = qp.r.shape
    nx, nh = qp.q.shape[1], qp.c.shape[1]
    x, u = point.x, point.u
    t, dual = _pairs(num_stages, nu, nh), _pairs(num_stages, nu, nh)
    kappa, move, affine = (
        _pairs(num_stages, nu, nh),
        _pairs(num_stages, nu, nh),
        _pairs(num_stages, nu, nh),
    )
    _start(qp, x, u, t, dual)
    count = 2 * num_stages * nu + 2 * (num_stages + 1) * nh
    Q, S, R = np.empty(qp.Q.shape), np.empty(qp.S.shape), np.empty(qp.R.shape)
    q, r, b = np.empty(qp.q.shape), np.empty(qp.r.shape), np.empty(qp.b.shape)
    dx, du = np.empty((num_stages + 1, nx)), np.empty((num_stages, nu))
    fixed = np.zeros((num_stages, nu), np.bool_)
    left = 1.0
    for iteration in range(MAX_ITERATIONS):
        mu = _dot(t, dual) / max(count, 1)
        if mu < tolerance and left < 1e-9:
            copy(point.soft, dual.above)
            return iteration + 1
        _hessian(qp, t, dual, Q, S, R)
        if not factorise(qp.A, qp.B, Q, S, R, fixed, work.P, work.K, work.L):
            return -iteration - 1
        _gap(qp, x, u, b)
        for phase in range(2):
            if phase == 0:
                _fill(kappa, 0.0)
            else:
                step = min(_longest(t, affine), _longest(dual, move))
                target = _dot_after(t, dual, affine, move, step) / max(count, 1)
                centre = (target / mu) ** 3 * mu if mu > 0.0 else 0.0
                _correction(kappa, centre, affine, move)
            _gradient(qp, x, u, t, dual, kappa, q, r)
            substitute(qp.A, qp.B, q, r, b, fixed, work.P, work.K, work.L, dx, du)
            _recover(qp, dx, du, t, dual, kappa, affine, move)
        step = min(1.0, 0.995 * min(_longest(t, affine), _longest(dual, move)))
        add_scaled(x, step, dx)
        add_scaled(u, step, du)
        _advance(t, affine, step)
        _advance(dual, move, step)
        left *= 1.0 - step
        if not np.isfinite(x[num_stages, 0]):
            return -iteration - 1
    return -MAX_ITERATIONS


@kernel
def _pairs(num_stages: int, nu: int, nh: int) -> Pairs:
    return Pairs(
        np.empty((num_stages, nu)),
        np.empty((num_stages, nu)),
        np.empty((num_stages + 1, nh)),
        np.empty((num_stages + 1, nh)),
    )


@kernel
def _start(qp: StageQp, x: np.ndarray, u: np.ndarray, t: Pairs, dual: Pairs) -> None:
    """Begin with no change of state, inputs inside their bounds, multipliers of middling size."""
    fill(x, 0.0)
    scale = 1e-2
    for k in range(u.shape[0]):
        for j in range(u.shape[1]):
            scale = max(scale, abs(qp.r[k, j]))
    for k in range(u.shape[0]):
        for j in range(u.shape[1]):
            low, high = qp.low[k, j], qp.high[k, j]
            margin = 0.1 * (high - low)
            u[k, j] = min(max(0.0, low + margin), high - margin)
            t.low[k, j], t.high[k, j] = u[k, j] - low, high - u[k, j]
            dual.low[k, j] = dual.high[k, j] = 0.1 * scale
    for k in range(qp.c.shape[0]):
        for i in range(qp.c.shape[1]):
            value = soft_value(qp, x, u, k, i)
            slack = max(0.0, value) + 0.1
            t.slack[k, i], t.above[k, i] = slack, slack - value
            dual.above[k, i] = dual.slack[k, i] = 0.5 * (qp.w1[i] + qp.w2[i] * slack)


@kernel
def _hessian(
    qp: StageQp, t: Pairs, dual: Pairs, Q: np.ndarray, S: np.ndarray, R: np.ndarray
) -> None:
    """Add the curvature that the barrier gives each inequality to the program's own."""
    num_stages, nu = qp.r.shape
    copy(Q[num_stages], qp.Q[num_stages])
    for k in range(num_stages):
        copy(Q[k], qp.Q[k])
        copy(S[k], qp.S[k])
        copy(R[k], qp.R[k])
    nx = Q.shape[1]
    for k in range(num_stages):
        for j in range(nu):
            R[k, j, j] += dual.low[k, j] / t.low[k, j] + dual.high[k, j] / t.high[k, j]
    for k in range(qp.c.shape[0]):
        for i in range(qp.c.shape[1]):
            above, slack = dual.above[k, i] / t.above[k, i], dual.slack[k, i] / t.slack[k, i]
            weight = above * (qp.w2[i] + slack) / (qp.w2[i] + above + slack)
            C, D = qp.C[k, i], qp.D[k, i]
            for a in range(nx):
                if C[a] != 0.0:
                    for m in range(nx):
                        Q[k, a, m] += weight * C[a] * C[m]
            if k < num_stages:
                for a in range(nu):
                    if D[a] != 0.0:
                        for m in range(nx):
                            S[k, a, m] += weight * D[a] * C[m]
                        for m in range(nu):
                            R[k, a, m] += weight * D[a] * D[m]


@kernel
def _gap(qp: StageQp, x: np.ndarray, u: np.ndarray, b: np.ndarray) -> None:
    """Write how far the dynamics are from holding."""
    for k in range(b.shape[0]):
        for i in range(x.shape[1]):
            b[k, i] = qp.b[k, i] - x[k + 1, i]
        add_product(b[k], qp.A[k], x[k])
        add_product(b[k], qp.B[k], u[k])


@kernel
def _gradient(
    qp: StageQp,
    x: np.ndarray,
    u: np.ndarray,
    t: Pairs,
    dual: Pairs,
    kappa: Pairs,
    q: np.ndarray,
    r: np.ndarray,
) -> None:
    """Write the gradient of the Newton system; the new multipliers are implied."""
    num_stages, nu = u.shape
    for k in range(num_stages + 1):
        copy_vector(q[k], qp.q[k])
        add_product(q[k], qp.Q[k], x[k])
        if k < num_stages:
            add_transposed_product(q[k], qp.S[k], u[k])
            copy_vector(r[k], qp.r[k])
            add_product(r[k], qp.R[k], u[k])
            add_product(r[k], qp.S[k], x[k])
            for j in range(nu):
                r[k, j] += kappa.high[k, j] / t.high[k, j] - kappa.low[k, j] / t.low[k, j]
        for i in range(qp.c.shape[1]):
            above, slack = dual.above[k, i] / t.above[k, i], dual.slack[k, i] / t.slack[k, i]
            pull = _pull(qp, t, kappa, k, i)
            weight = kappa.above[k, i] / t.above[k, i] - above * pull / (qp.w2[i] + above + slack)
            for j in range(x.shape[1]):
                q[k, j] += weight * qp.C[k, i, j]
            if k < num_stages:
                for j in range(nu):
                    r[k, j] += weight * qp.D[k, i, j]


@kernel
def _pull(qp: StageQp, t: Pairs, kappa: Pairs, k: int, i: int) -> float:
    """Return the downhill slope of the violation of soft constraint `i` at stage `k`."""
    return (
        kappa.above[k, i] / t.above[k, i]
        + kappa.slack[k, i] / t.slack[k, i]
        - qp.w1[i]
        - qp.w2[i] * t.slack[k, i]
    )


@kernel
def _recover(
    qp: StageQp,
    dx: np.ndarray,
    du: np.ndarray,
    t: Pairs,
    dual: Pairs,
    kappa: Pairs,
    move_t: Pairs,
    move_dual: Pairs,
) -> None:
    """Write the changes of slacks and multipliers that belong to dx and du."""
    num_stages, nu = du.shape
    for k in range(num_stages):
        for j in range(nu):
            move_t.low[k, j], move_t.high[k, j] = du[k, j], -du[k, j]
    for k in range(num_stages + 1):
        for i in range(qp.c.shape[1]):
            rise = soft_value(qp, dx, du, k, i) - qp.c[k, i]
            above, slack = dual.above[k, i] / t.above[k, i], dual.slack[k, i] / t.slack[k, i]
            move = (above * rise + _pull(qp, t, kappa, k, i)) / (qp.w2[i] + above + slack)
            move_t.slack[k, i], move_t.above[k, i] = move, move - rise
    _multipliers(kappa.low, t.low, dual.low, move_t.low, move_dual.low)
    _multipliers(kappa.high, t.high, dual.high, move_t.high, move_dual.high)
    _multipliers(kappa.above, t.above, dual.above, move_t.above, move_dual.above)
    _multipliers(kappa.slack, t.slack, dual.slack, move_t.slack, move_dual.slack)


@kernel
def _multipliers(
    kappa: np.ndarray, t: np.ndarray, dual: np.ndarray, move_t: np.ndarray, out: np.ndarray
) -> None:
    """Write dual changes from t d(dual) + dual dt = kappa - t dual."""
    for k in range(t.shape[0]):
        for i in range(t.shape[1]):
            out[k, i] = (kappa[k, i] - dual[k, i] * move_t[k, i]) / t[k, i] - dual[k, i]


@kernel
def _fill(pairs: Pairs, value: float) -> None:
    fill(pairs.low, value)
    fill(pairs.high, value)
    fill(pairs.above, value)
    fill(pairs.slack, value)


@kernel
def _correction(kappa: Pairs, centre: float, move_t: Pairs, move_dual: Pairs) -> None:
    """Aim at `centre`, less what the predictor's step would leave of second order."""
    _correct(kappa.low, centre, move_t.low, move_dual.low)
    _correct(kappa.high, centre, move_t.high, move_dual.high)
    _correct(kappa.above, centre, move_t.above, move_dual.above)
    _correct(kappa.slack, centre, move_t.slack, move_dual.slack)


@kernel
def _correct(kappa: np.ndarray, centre: float, move_t: np.ndarray, move_dual: np.ndarray) -> None:
    for k in range(kappa.shape[0]):
        for i in range(kappa.shape[1]):
            kappa[k, i] = centre - move_t[k, i] * move_dual[k, i]


@kernel
def _advance(value: Pairs, move: Pairs, step: float) -> None:
    add_scaled(value.low, step, move.low)
    add_scaled(value.high, step, move.high)
    add_scaled(value.above, step, move.above)
    add_scaled(value.slack, step, move.slack)


@kernel
def _dot(left: Pairs, right: Pairs) -> float:
    return (
        _dot_one(left.low, right.low)
        + _dot_one(left.high, right.high)
        + _dot_one(left.above, right.above)
        + _dot_one(left.slack, right.slack)
    )


@kernel
def _dot_one(left: np.ndarray, right: np.ndarray) -> float:
    total = 0.0
    for k in range(left.shape[0]):
        for i in range(left.shape[1]):
            total += left[k, i] * right[k, i]
    return total


@kernel
def _dot_after(t: Pairs, dual: Pairs, move_t: Pairs, move_dual: Pairs, step: float) -> float:
    """Return the dot product of slacks and multipliers after a step."""
    return (
        _dot(t, dual)
        + step * (_dot(t, move_dual) + _dot(move_t, dual))
        + step * step * _dot(move_t, move_dual)
    )


@kernel
def _longest(value: Pairs, move: Pairs) -> float:
    """Return the longest step in (0, 1] that keeps every number positive."""
    return min(
        min(_longest_one(value.low, move.low), _longest_one(value.high, move.high)),
        min(_longest_one(value.above, move.above), _longest_one(value.slack, move.slack)),
    )


@kernel
def _longest_one(value: np.ndarray, move: np.ndarray) -> float:
    step = 1.0
    for k in range(value.shape[0]):
        for i in range(value.shape[1]):
            if move[k, i] < 0.0:
                step = min(step, -value[k, i] / move[k, i])
    return step
