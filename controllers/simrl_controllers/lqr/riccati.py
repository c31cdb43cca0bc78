"""Solve linear-quadratic regulators: infinite, finite and time-varying horizons.

All of them minimise the sum of x Q x + u R u (no factor 1/2) for x' = A x + B u (+ c).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_discrete_are


@dataclass(frozen=True)
class LqrSolution:
    """Hold the stationary optimum: u = -gain x costs x cost_to_go x."""

    gain: np.ndarray
    """K `[nu, n]`."""
    cost_to_go: np.ndarray
    """P `[n, n]`, symmetric."""


@dataclass(frozen=True)
class TimeVaryingSolution:
    """Hold the optimum over N steps: u_k = -gains[k] x_k - offsets[k]."""

    gains: np.ndarray
    """K `[N, nu, n]`."""
    offsets: np.ndarray
    """k `[N, nu]`; zero unless the problem has affine or linear terms."""
    cost_to_go: np.ndarray
    """P `[N + 1, n, n]`: the cost from step k is x P x + 2 p x + a constant."""
    cost_slope: np.ndarray
    """p `[N + 1, n]`."""


def solve_lqr(a: np.ndarray, b: np.ndarray, q: np.ndarray, r: np.ndarray) -> LqrSolution:
    """Solve the infinite horizon by the discrete algebraic Riccati equation.

    Args:
        a: State matrix `[n, n]`.
        b: Input matrix `[n, nu]`.
        q: State cost `[n, n]`, positive semidefinite.
        r: Input cost `[nu, nu]`, positive definite.

    Raises:
        ValueError: shapes do not fit, a number is not finite, a cost is not symmetric and
            (semi)definite, or no gain stabilises the system at finite cost.
    """
    check_problem(a, b, q, r)
    try:
        p = np.asarray(solve_discrete_are(a, b, q, r))
    except (np.linalg.LinAlgError, ValueError) as error:
        raise ValueError(
            f"no gain stabilises this system at finite cost: (A, B) must be stabilisable and every "
            f"unstable motion must cost something ({error})"
        ) from error
    p = 0.5 * (p + p.T)
    gain = np.linalg.solve(r + b.T @ p @ b, b.T @ p @ a)
    radius = float(np.abs(np.linalg.eigvals(a - b @ gain)).max())
    if not radius < 1.0 + 1e-9:
        raise ValueError(f"the closed loop is not stable: its spectral radius is {radius:.6g}")
    return LqrSolution(gain, p)


def solve_finite(
    a: np.ndarray, b: np.ndarray, q: np.ndarray, r: np.ndarray, final: np.ndarray, horizon: int
) -> TimeVaryingSolution:
    """Solve N = `horizon` steps of one system, with the cost x final x on the last state.

    Raises:
        ValueError: as `solve_lqr`, or the horizon is below 1.
    """
    check_problem(a, b, q, r)
    check_horizon(horizon)
    steps = [np.broadcast_to(part, (horizon, *part.shape)) for part in (a, b, q, r)]
    return solve_time_varying(steps[0], steps[1], steps[2], steps[3], final)


def solve_time_varying(
    a: np.ndarray,
    b: np.ndarray,
    q: np.ndarray,
    r: np.ndarray,
    final: np.ndarray,
    *,
    offset: np.ndarray | None = None,
    state_slope: np.ndarray | None = None,
    final_slope: np.ndarray | None = None,
) -> TimeVaryingSolution:
    """Solve N steps of x' = A_k x + B_k u + c_k by the backward Riccati recursion.

    The cost is the sum of x Q_k x + 2 q_k x + u R_k u, and x final x + 2 final_slope x at the end.
    To track a target t_k let q_k = -Q_k t_k.

    Args:
        a: `[N, n, n]`.
        b: `[N, n, nu]`.
        q: `[N, n, n]`.
        r: `[N, nu, nu]`.
        final: `[n, n]`.
        offset: c `[N, n]`; 0 by default.
        state_slope: q `[N, n]`; 0 by default.
        final_slope: `[n]`; 0 by default.

    Raises:
        ValueError: the shapes do not fit, or some R_k + B' P B is singular.
    """
    if a.ndim != 3 or not len(a):
        raise ValueError(f"a must have shape [N >= 1, n, n], got {a.shape}")
    steps, n, nu = len(a), a.shape[1], b.shape[-1]
    wanted = {"a": (n, n), "b": (n, nu), "q": (n, n), "r": (nu, nu)}
    for name, part in (("a", a), ("b", b), ("q", q), ("r", r)):
        if part.shape != (steps, *wanted[name]):
            raise ValueError(f"{name} must have shape {(steps, *wanted[name])}, got {part.shape}")
    offset = np.zeros((steps, n)) if offset is None else offset
    state_slope = np.zeros((steps, n)) if state_slope is None else state_slope
    cost, slope = np.zeros((steps + 1, n, n)), np.zeros((steps + 1, n))
    gains, offsets = np.zeros((steps, nu, n)), np.zeros((steps, nu))
    cost[-1] = 0.5 * (final + final.T)
    slope[-1] = 0.0 if final_slope is None else final_slope
    for k in range(steps - 1, -1, -1):
        p, rest = cost[k + 1], cost[k + 1] @ offset[k] + slope[k + 1]
        curvature = r[k] + b[k].T @ p @ b[k]
        try:
            right = np.column_stack([b[k].T @ p @ a[k], b[k].T @ rest])
            solved = np.linalg.solve(curvature, right)
        except np.linalg.LinAlgError as error:
            raise ValueError(f"step {k}: R + B' P B is singular; R must be definite") from error
        gains[k], offsets[k] = solved[:, :n], solved[:, n]
        closed = a[k] - b[k] @ gains[k]
        now = q[k] + a[k].T @ p @ closed
        cost[k] = 0.5 * (now + now.T)
        slope[k] = state_slope[k] + closed.T @ rest
    return TimeVaryingSolution(gains, offsets, cost, slope)


def check_horizon(horizon: int) -> None:
    """Raise ValueError unless the horizon has at least one step."""
    if horizon < 1:
        raise ValueError(f"the horizon must be at least 1 step, got {horizon}")


def check_problem(a: np.ndarray, b: np.ndarray, q: np.ndarray, r: np.ndarray) -> None:
    """Raise ValueError naming the matrix that is not finite, fitting, symmetric or convex."""
    n = len(a)
    nu = b.shape[-1] if b.ndim == 2 else -1
    wanted = {"A": (a, (n, n)), "B": (b, (n, nu)), "Q": (q, (n, n)), "R": (r, (nu, nu))}
    for name, (part, shape) in wanted.items():
        if part.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {part.shape}")
        if not np.isfinite(part).all():
            raise ValueError(f"{name} has entries that are not finite")
    for name, part, strict in (("Q", q, False), ("R", r, True)):
        if not np.allclose(part, part.T, rtol=1e-9, atol=1e-12):
            raise ValueError(f"{name} must be symmetric")
        least = float(np.linalg.eigvalsh(part)[0])
        if least < -1e-9 * float(np.abs(part).max()) or (strict and least <= 0.0):
            kind = "positive definite" if strict else "positive semidefinite"
            raise ValueError(f"{name} must be {kind}, but its least eigenvalue is {least:g}")


def check_limits(label: str, low: np.ndarray, high: np.ndarray) -> None:
    """Raise ValueError naming the first limit whose low is above its high."""
    crossed = np.flatnonzero(low > high)
    if len(crossed):
        index = int(crossed[0])
        raise ValueError(
            f"the limits of {label} {index} are infeasible: low {low[index]:g} is above "
            f"high {high[index]:g}"
        )
