"""Guess which inputs lie at their bounds, solve, correct the guess: a primal-dual active set.

For programs whose only active constraints are input bounds this ends after a few sweeps at the
exact solution (Hintermüller et al. 2002, "The primal-dual active set strategy as a semismooth
Newton method"); it may cycle, which is reported, and then the interior-point method takes over.
"""

from __future__ import annotations

import numpy as np

from simrl_controllers.nonlinear.kernels.problem import QpPoint, StageQp, soft_value
from simrl_controllers.nonlinear.kernels.riccati import Work, factorise, substitute
from simrl_controllers.nonlinear.kernels.small import (
    add_product,
    add_transposed_product,
    copy,
    copy_vector,
    fill,
    kernel,
)

MAX_SWEEPS = 15


@kernel
def solve_active_set(qp: StageQp, point: QpPoint, work: Work) -> int:
    """Write the solution into `point`; return the sweeps made, or -1 if it is not the solution.

    Soft constraints are left out and checked at the end: where one is violated, -1.
    """
    num_stages, nu = point.u.shape
    nx = point.x.shape[1]
    fixed = np.zeros((num_stages, nu), np.bool_)
    value = np.zeros((num_stages, nu))
    q, r, b = (
        np.empty(qp.q.shape),
        np.empty(qp.r.shape),
        np.empty(qp.b.shape),
    )
    pi, following, gradient = np.empty(nx), np.empty(nx), np.empty(nu)
    fill(point.soft, 0.0)
    for sweep in range(MAX_SWEEPS):
        copy(q, qp.q)
        copy(r, qp.r)
        copy(b, qp.b)
        for k in range(num_stages):
            add_product(r[k], qp.R[k], value[k])
            add_transposed_product(q[k], qp.S[k], value[k])
            add_product(b[k], qp.B[k], value[k])
        if not factorise(qp.A, qp.B, qp.Q, qp.S, qp.R, fixed, work.P, work.K, work.L):
            return -1
        substitute(qp.A, qp.B, q, r, b, fixed, work.P, work.K, work.L, point.x, point.u)
        for k in range(num_stages):
            for j in range(nu):
                point.u[k, j] = value[k, j] if fixed[k, j] else point.u[k, j]
        changed = False
        copy_vector(pi, qp.q[num_stages])
        add_product(pi, qp.Q[num_stages], point.x[num_stages])
        for k in range(num_stages - 1, -1, -1):
            copy_vector(gradient, qp.r[k])
            add_product(gradient, qp.R[k], point.u[k])
            add_product(gradient, qp.S[k], point.x[k])
            add_transposed_product(gradient, qp.B[k], pi)
            for j in range(nu):
                changed |= _correct(qp, point.u, gradient[j], fixed, value, k, j)
            copy_vector(following, qp.q[k])
            add_product(following, qp.Q[k], point.x[k])
            add_transposed_product(following, qp.S[k], point.u[k])
            add_transposed_product(following, qp.A[k], pi)
            copy_vector(pi, following)
        if not changed:
            return sweep + 1 if _soft_hold(qp, point) else -1
    return -1


@kernel
def _correct(
    qp: StageQp,
    u: np.ndarray,
    gradient: float,
    fixed: np.ndarray,
    value: np.ndarray,
    k: int,
    j: int,
) -> bool:
    """Fix an input that left its bounds, free one that pulls inward; return whether it changed."""
    if fixed[k, j]:
        lower = value[k, j] <= qp.low[k, j]
        if (lower and gradient < 0.0) or (not lower and gradient > 0.0):
            fixed[k, j] = False
            value[k, j] = 0.0
            return True
        return False
    if u[k, j] < qp.low[k, j]:
        value[k, j] = qp.low[k, j]
    elif u[k, j] > qp.high[k, j]:
        value[k, j] = qp.high[k, j]
    else:
        return False
    fixed[k, j] = True
    return True


@kernel
def _soft_hold(qp: StageQp, point: QpPoint) -> bool:
    """Return whether no soft constraint is violated."""
    for k in range(qp.c.shape[0]):
        for i in range(qp.c.shape[1]):
            if soft_value(qp, point.x, point.u, k, i) > 1e-12:
                return False
    return True
