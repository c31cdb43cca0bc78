"""Evaluate the compiled stage functions along a trajectory and lay the results out as a QP.

The four compiled functions take (x, u, p) and write, one after the other:
stage       f, A, B, q, r, Q, S, R, c, C, D, cost
terminal    q, Q, c, C, cost
value       f, c, cost                       (no derivatives, for the line search)
last_value  c, cost
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simrl_controllers.nonlinear.kernels.problem import StageQp
from simrl_controllers.nonlinear.kernels.small import copy_vector, kernel, larger
from simrl_controllers.nonlinear.machine_code import call

STAGE, TERMINAL, VALUE, LAST_VALUE = range(4)


class Problem(NamedTuple):
    """Hold an optimal control problem: where its code lies, and its numbers."""

    code: np.ndarray
    """`[4]` int64 addresses of the compiled functions."""
    parameters: np.ndarray
    """`[N + 1, np]` what each stage is handed beside x and u."""
    low: np.ndarray
    """`[nu]` smallest inputs."""
    high: np.ndarray
    """`[nu]` largest inputs."""
    beyond_point: np.ndarray
    """`[nx]` last state about which `beyond` was modelled."""
    beyond_gradient: np.ndarray
    """`[nx]` gradient there of a cost that is added at the last stage."""
    beyond_hessian: np.ndarray
    """`[nx, nx]` its Hessian."""
    out: np.ndarray
    """`[N + 1, size]` room for what the functions write; zeros before the first use."""
    brief: np.ndarray
    """`[N + 1, size]` room for what the functions without derivatives write."""


@kernel
def linearise(
    problem: Problem, qp: StageQp, x: np.ndarray, u: np.ndarray, levenberg: float
) -> tuple[float, float, float, float]:
    """Fill `qp` about x `[N + 1, nx]`, u `[N, nu]`.

    Returns the cost, the price of violations, the sum of the dynamics' gaps and the largest gap.
    """
    num_stages, nu = u.shape
    nx, nh = x.shape[1], qp.c.shape[1]
    cost, price, total, worst = 0.0, 0.0, 0.0, 0.0
    for k in range(num_stages):
        out = problem.out[k]
        call(problem.code[STAGE], x[k], u[k], problem.parameters[k], out)
        at = 0
        for i in range(nx):
            gap = out[i] - x[k + 1, i]
            qp.b[k, i] = gap
            total += abs(gap)
            worst = larger(worst, gap)
        at = _take(qp.A[k], out, nx)
        at = _take(qp.B[k], out, at)
        at = _take_vector(qp.q[k], out, at)
        at = _take_vector(qp.r[k], out, at)
        at = _take(qp.Q[k], out, at)
        at = _take(qp.S[k], out, at)
        at = _take(qp.R[k], out, at)
        at = _take_vector(qp.c[k], out, at)
        at = _take(qp.C[k], out, at)
        at = _take(qp.D[k], out, at)
        cost += out[at]
        for j in range(nu):
            qp.low[k, j] = problem.low[j] - u[k, j]
            qp.high[k, j] = problem.high[j] - u[k, j]
            qp.R[k, j, j] += levenberg
    k = num_stages
    out = problem.out[k]
    call(problem.code[TERMINAL], x[k], u[k - 1], problem.parameters[k], out)
    at = _take_vector(qp.q[k], out, 0)
    at = _take(qp.Q[k], out, at)
    at = _take_vector(qp.c[k], out, at)
    at = _take(qp.C[k], out, at)
    cost += out[at] + _beyond(problem, x[k])
    for i in range(nx):
        qp.q[k, i] += problem.beyond_gradient[i]
        for j in range(nx):
            qp.q[k, i] += problem.beyond_hessian[i, j] * (x[k, j] - problem.beyond_point[j])
            qp.Q[k, i, j] += problem.beyond_hessian[i, j]
    for k in range(num_stages + 1):
        for i in range(nx):
            qp.Q[k, i, i] += levenberg
        for i in range(nh):
            price += penalty(qp.c[k, i], qp.w1[i], qp.w2[i])
    return cost, price, total, worst


@kernel
def evaluate(
    problem: Problem, qp: StageQp, x: np.ndarray, u: np.ndarray
) -> tuple[float, float, float]:
    """Return cost, price of violations and the sum of the dynamics' gaps, without derivatives."""
    num_stages, nx = u.shape[0], x.shape[1]
    nh = qp.w1.shape[0]
    cost, price, total = 0.0, 0.0, 0.0
    for k in range(num_stages):
        out = problem.brief[k]
        call(problem.code[VALUE], x[k], u[k], problem.parameters[k], out)
        for i in range(nx):
            total += abs(out[i] - x[k + 1, i])
        for i in range(nh):
            price += penalty(out[nx + i], qp.w1[i], qp.w2[i])
        cost += out[nx + nh]
    k = num_stages
    out = problem.brief[k]
    call(problem.code[LAST_VALUE], x[k], u[k - 1], problem.parameters[k], out)
    for i in range(nh):
        price += penalty(out[i], qp.w1[i], qp.w2[i])
    return cost + out[nh] + _beyond(problem, x[k]), price, total


@kernel
def shift(problem: Problem, x: np.ndarray, u: np.ndarray, stages: float) -> None:
    """Move a plan `stages` (a positive number, whole or not) of its stages ahead in time, in place.

    Between stages it is interpolated; past the end the last input goes on.
    """
    num_stages, nu = u.shape
    nx = x.shape[1]
    whole = int(np.floor(stages + 1e-9))
    part = max(stages - whole, 0.0)
    if part < 1e-9:
        part = 0.0
    last = num_stages - 1
    for k in range(num_stages + 1):
        a, b = k + whole, k + whole + 1
        if b <= num_stages or (a <= num_stages and part == 0.0):
            b = min(b, num_stages)
            for i in range(nx):
                x[k, i] += (1.0 - part) * (x[a, i] - x[k, i]) + part * (x[b, i] - x[k, i])
        else:
            out = problem.brief[k]
            call(problem.code[VALUE], x[k - 1], u[k - 1], problem.parameters[k - 1], out)
            for i in range(nx):
                x[k, i] = out[i]
        if k < num_stages:
            a, b = min(a, last), min(b, last)
            for j in range(nu):
                u[k, j] += (1.0 - part) * (u[a, j] - u[k, j]) + part * (u[b, j] - u[k, j])


@kernel
def roll(problem: Problem, x: np.ndarray, u: np.ndarray) -> None:
    """Write the states that the inputs u `[N, nu]` lead to from x[0]."""
    for k in range(u.shape[0]):
        out = problem.brief[k]
        call(problem.code[VALUE], x[k], u[k], problem.parameters[k], out)
        for i in range(x.shape[1]):
            x[k + 1, i] = out[i]


@kernel
def penalty(value: float, linear: float, quadratic: float) -> float:
    """Return the price of a soft constraint's value; 0 or less is free."""
    if value <= 0.0:
        return 0.0
    return linear * value + 0.5 * quadratic * value * value


@kernel
def _beyond(problem: Problem, x: np.ndarray) -> float:
    total = 0.0
    for i in range(x.shape[0]):
        step = x[i] - problem.beyond_point[i]
        slope = problem.beyond_gradient[i]
        for j in range(x.shape[0]):
            slope += 0.5 * problem.beyond_hessian[i, j] * (x[j] - problem.beyond_point[j])
        total += step * slope
    return total


@kernel
def _take(matrix: np.ndarray, source: np.ndarray, at: int) -> int:
    """Copy the next numbers into a matrix, row by row; return where the rest begins."""
    rows, columns = matrix.shape
    for i in range(rows):
        for j in range(columns):
            matrix[i, j] = source[at + i * columns + j]
    return at + rows * columns


@kernel
def _take_vector(vector: np.ndarray, source: np.ndarray, at: int) -> int:
    copy_vector(vector, source[at:])
    return at + vector.shape[0]
