"""The quadratic program of one SQP iteration, stage by stage, and how well a point solves it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simrl_controllers.nonlinear.kernels.small import (
    add_product,
    add_transposed_product,
    copy_vector,
    kernel,
    larger,
)


class StageQp(NamedTuple):
    """Hold a linear-quadratic program over N stages; all arrays float64, C order.

    minimise  sum_k 1/2 (x, u)' ((Q, S'), (S, R)) (x, u) + q'x + r'u  +  1/2 xN' QN xN + qN' xN
              + sum over soft constraints of  w1 s + 1/2 w2 s^2
    subject to  x0 = 0,  x_{k+1} = A x + B u + b,  low <= u <= high,  c + C x + D u <= s,  0 <= s
    """

    A: np.ndarray
    """`[N, nx, nx]`."""
    B: np.ndarray
    """`[N, nx, nu]`."""
    b: np.ndarray
    """`[N, nx]`."""
    Q: np.ndarray
    """`[N + 1, nx, nx]`, symmetric, positive semidefinite."""
    S: np.ndarray
    """`[N, nu, nx]`."""
    R: np.ndarray
    """`[N, nu, nu]`, symmetric, positive definite."""
    q: np.ndarray
    """`[N + 1, nx]`."""
    r: np.ndarray
    """`[N, nu]`."""
    low: np.ndarray
    """`[N, nu]`."""
    high: np.ndarray
    """`[N, nu]`."""
    C: np.ndarray
    """`[N + 1, nh, nx]`."""
    D: np.ndarray
    """`[N + 1, nh, nu]`; the last is not used."""
    c: np.ndarray
    """`[N + 1, nh]`."""
    w1: np.ndarray
    """`[nh]` linear price of a violation."""
    w2: np.ndarray
    """`[nh]` quadratic price of a violation."""


class QpPoint(NamedTuple):
    """Hold a point of a `StageQp` with its multipliers."""

    x: np.ndarray
    """`[N + 1, nx]`."""
    u: np.ndarray
    """`[N, nu]`."""
    soft: np.ndarray
    """`[N + 1, nh]` multipliers of the soft constraints, 0 or more."""


def empty_qp(num_stages: int, nx: int, nu: int, nh: int) -> StageQp:
    """Make a program of zeros."""
    n = num_stages
    return StageQp(
        A=np.zeros((n, nx, nx)),
        B=np.zeros((n, nx, nu)),
        b=np.zeros((n, nx)),
        Q=np.zeros((n + 1, nx, nx)),
        S=np.zeros((n, nu, nx)),
        R=np.zeros((n, nu, nu)),
        q=np.zeros((n + 1, nx)),
        r=np.zeros((n, nu)),
        low=np.zeros((n, nu)),
        high=np.zeros((n, nu)),
        C=np.zeros((n + 1, nh, nx)),
        D=np.zeros((n + 1, nh, nu)),
        c=np.zeros((n + 1, nh)),
        w1=np.zeros(nh),
        w2=np.zeros(nh),
    )


@kernel
def soft_value(qp: StageQp, x: np.ndarray, u: np.ndarray, k: int, i: int) -> float:
    """Return c + C x + D u of soft constraint `i` at stage `k`; the last stage has no input."""
    value = qp.c[k, i]
    for j in range(x.shape[1]):
        value += qp.C[k, i, j] * x[k, j]
    if k < u.shape[0]:
        for j in range(u.shape[1]):
            value += qp.D[k, i, j] * u[k, j]
    return value


@kernel
def qp_residual(qp: StageQp, point: QpPoint, costates: np.ndarray) -> float:
    """Return the KKT residual (largest entry) and write the costates `[N + 1, nx]`.

    The costates follow from stationarity in x, so what is left to hold is: the dynamics,
    stationarity in u (as the distance moved by one projected gradient step), and for each soft
    constraint that its multiplier is a slope of the penalty at its value.
    """
    num_stages, nu = point.u.shape
    num_soft = qp.c.shape[1]
    worst = 0.0
    gradient = np.empty(nu)
    following = np.empty(point.x.shape[1])
    for k in range(num_stages, -1, -1):
        pi = costates[k]
        copy_vector(pi, qp.q[k])
        add_product(pi, qp.Q[k], point.x[k])
        add_transposed_product(pi, qp.C[k], point.soft[k])
        for i in range(num_soft):
            value = soft_value(qp, point.x, point.u, k, i)
            shifted = value + point.soft[k, i]
            near = shifted
            if shifted > qp.w1[i]:
                near = (shifted - qp.w1[i]) / (1.0 + qp.w2[i])
            elif shifted > 0.0:
                near = 0.0
            worst = larger(worst, value - near)
        if k == num_stages:
            continue
        add_transposed_product(pi, qp.S[k], point.u[k])
        add_transposed_product(pi, qp.A[k], costates[k + 1])
        copy_vector(gradient, qp.r[k])
        add_product(gradient, qp.R[k], point.u[k])
        add_product(gradient, qp.S[k], point.x[k])
        add_transposed_product(gradient, qp.B[k], costates[k + 1])
        add_transposed_product(gradient, qp.D[k], point.soft[k])
        for j in range(nu):
            moved = min(max(point.u[k, j] - gradient[j], qp.low[k, j]), qp.high[k, j])
            worst = larger(worst, point.u[k, j] - moved)
        copy_vector(following, qp.b[k])
        add_product(following, qp.A[k], point.x[k])
        add_product(following, qp.B[k], point.u[k])
        for j in range(following.shape[0]):
            worst = larger(worst, following[j] - point.x[k + 1, j])
    return worst
