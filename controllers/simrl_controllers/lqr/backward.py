"""The backward pass of iterative LQR with box limits on the inputs, compiled, row by row."""

from __future__ import annotations

import numpy as np
from numba import njit

_NEWTON_STEPS = 20


@njit(cache=True, nogil=True)
def backward_rows(
    a: np.ndarray,
    b: np.ndarray,
    state_slope: np.ndarray,
    state_cost: np.ndarray,
    limit_cost: np.ndarray,
    control_slope: np.ndarray,
    control_cost: np.ndarray,
    final_slope: np.ndarray,
    final_cost: np.ndarray,
    room_low: np.ndarray,
    room_high: np.ndarray,
    damping: np.ndarray,
    change: np.ndarray,
    gain: np.ndarray,
) -> None:
    """Write the step and the feedback of the inputs that the local quadratic problem asks for.

    Costs are 1/2 dx C dx + c dx; the box `room_low <= du <= room_high` is kept by a projected
    Newton method at each step (control-limited DDP, Tassa et al. 2014), and inputs that stand at
    their limit get no feedback.

    Args:
        a: `[M, H, n, n]`.
        b: `[M, H, n, nu]`.
        state_slope: `[M, H, n]`.
        state_cost: `[n, n]`.
        limit_cost: Added to its diagonal where limits are violated `[M, H, n]`.
        control_slope: `[M, H, nu]`.
        control_cost: `[nu, nu]`.
        final_slope: `[M, n]`.
        final_cost: `[M, n, n]`.
        room_low: Lowest change of each input `[M, H, nu]`, not above 0.
        room_high: Highest change `[M, H, nu]`, not below 0.
        damping: Added to the curvature of the inputs `[M]`.
        change: Written: open-loop change `[M, H, nu]`.
        gain: Written: feedback K `[M, H, nu, n]`, du = change + K dx.
    """
    nu = b.shape[3]
    for row in range(len(a)):
        slope, cost = final_slope[row].copy(), final_cost[row].copy()
        for k in range(a.shape[1] - 1, -1, -1):
            ak, bk = a[row, k], b[row, k]
            qx = state_slope[row, k] + ak.T @ slope
            qu = control_slope[row, k] + bk.T @ slope
            carried = cost @ bk
            quu = control_cost + bk.T @ carried
            qux = carried.T @ ak
            qxx = state_cost + ak.T @ cost @ ak
            for i in range(len(qxx)):
                qxx[i, i] += limit_cost[row, k, i]
            damped = quu + damping[row] * np.eye(nu)
            factor = np.zeros((nu, nu))
            free = np.ones(nu, np.bool_)
            step = change[row, k]
            _box_newton(damped, qu, room_low[row, k], room_high[row, k], step, free, factor)
            feedback = gain[row, k]
            for column in range(qux.shape[1]):
                right = np.zeros(nu)
                for i in range(nu):
                    right[i] = -qux[i, column] if free[i] else 0.0
                _cholesky_solve(factor, right)
                for i in range(nu):
                    feedback[i, column] = right[i] if free[i] else 0.0
            slope = qx + feedback.T @ (quu @ step + qu) + qux.T @ step
            cost = qxx + feedback.T @ quu @ feedback + feedback.T @ qux + qux.T @ feedback
            cost = 0.5 * (cost + cost.T)


@njit(cache=True, nogil=True)
def _box_newton(
    curvature: np.ndarray,
    slope: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    x: np.ndarray,
    free: np.ndarray,
    factor: np.ndarray,
) -> None:
    """Minimise 1/2 x H x + g x in the box; write x, what is free, and the factor of its part."""
    nu = len(x)
    x[:] = 0.0
    for _ in range(_NEWTON_STEPS):
        gradient = slope + curvature @ x
        worst = 0.0
        for i in range(nu):
            held = (x[i] <= low[i] and gradient[i] > 0.0) or (x[i] >= high[i] and gradient[i] < 0.0)
            free[i] = not held
            if free[i]:
                worst = max(worst, abs(gradient[i]))
        _masked_cholesky(curvature, free, factor)
        if worst < 1e-10:
            return
        step = np.zeros(nu)
        for i in range(nu):
            step[i] = -gradient[i] if free[i] else 0.0
        _cholesky_solve(factor, step)
        before, size = 0.5 * x @ curvature @ x + slope @ x, 1.0
        trial = x.copy()
        for _ in range(12):
            trial = np.minimum(np.maximum(x + size * step, low), high)
            if 0.5 * trial @ curvature @ trial + slope @ trial < before:
                break
            size *= 0.5
        else:
            return
        x[:] = trial


@njit(cache=True, nogil=True)
def _masked_cholesky(matrix: np.ndarray, free: np.ndarray, factor: np.ndarray) -> None:
    """Factor the free part; rows that are held become those of the identity."""
    n = len(matrix)
    for i in range(n):
        for j in range(i + 1):
            both = free[i] and free[j]
            total = matrix[i, j] if both else (1.0 if i == j else 0.0)
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            if i == j:
                factor[i, i] = np.sqrt(max(total, 1e-12))
            else:
                factor[i, j] = total / factor[j, j]


@njit(cache=True, nogil=True)
def _cholesky_solve(factor: np.ndarray, x: np.ndarray) -> None:
    """Overwrite x with the solution of L L' y = x."""
    n = len(x)
    for i in range(n):
        for k in range(i):
            x[i] -= factor[i, k] * x[k]
        x[i] /= factor[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            x[i] -= factor[k, i] * x[k]
        x[i] /= factor[i, i]
