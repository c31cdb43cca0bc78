"""Condense a linear MPC problem: only inputs and slacks stay as variables."""

from __future__ import annotations

import numpy as np
from numba import njit

from simrl_controllers.linear.problem import MpcInstance, MpcProblem, QPData


@njit(cache=True, nogil=True)
def predict_matrices(a: np.ndarray, b: np.ndarray, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Return Phi `[N + 1, n, n]` and Gamma `[N + 1, n, N nu]`: x_k = Phi_k x_0 + Gamma_k u."""
    n, nu = b.shape
    phi = np.zeros((horizon + 1, n, n))
    gamma = np.zeros((horizon + 1, n, horizon * nu))
    phi[0] = np.eye(n)
    for k in range(horizon):
        phi[k + 1] = a @ phi[k]
        # Gamma_{k+1} is Gamma_k one step later: its blocks are those of the first column, shifted.
        gamma[k + 1, :, :nu] = phi[k] @ b
        for j in range(1, k + 1):
            gamma[k + 1, :, j * nu : (j + 1) * nu] = gamma[k, :, (j - 1) * nu : j * nu]
    return phi, gamma


@njit(cache=True, nogil=True)
def condense_cost(
    phi: np.ndarray, gamma: np.ndarray, q: np.ndarray, r: np.ndarray, final: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return H `[m, m]`, G `[m, n]` and T `[N + 1, m, n]`, m = N nu.

    The cost is 1/2 u H u + (G x_0 - sum_k T_k t_k) u + a constant.
    """
    steps, n, m = gamma.shape
    nu = len(r)
    hessian, slope = np.zeros((m, m)), np.zeros((m, n))
    pull = np.zeros((steps, m, n))
    for k in range(steps - 1):
        hessian[k * nu : (k + 1) * nu, k * nu : (k + 1) * nu] = 2.0 * r
    for k in range(1, steps):
        width = k * nu  # later inputs do not reach x_k
        weight = q if k < steps - 1 else final
        part = np.ascontiguousarray(gamma[k, :, :width])
        weighted = 2.0 * (part.T @ weight)
        hessian[:width, :width] += weighted @ part
        slope[:width] += weighted @ phi[k]
        pull[k, :width] = weighted
    return hessian, slope, pull


class CondensedMpc:
    """Build dense problems in u_0 .. u_{N-1} and one slack for each soft row and step.

    Everything that does not depend on the state is computed once.
    """

    def __init__(self, problem: MpcProblem) -> None:
        self.problem = p = problem
        n_steps, nu = p.horizon, p.num_controls
        a, b = np.ascontiguousarray(p.a), np.ascontiguousarray(p.b)
        self._phi, self._gamma = predict_matrices(a, b, n_steps)
        zero = np.zeros_like(p.final)
        args = (self._phi, self._gamma, np.ascontiguousarray(p.q), np.ascontiguousarray(p.r))
        self._cost = condense_cost(*args, np.ascontiguousarray(p.final))
        self._cost_without_final = condense_cost(*args, zero)
        self.num_inputs = n_steps * nu
        limited = np.isfinite(p.row_low) | np.isfinite(p.row_high)
        self._rows = np.flatnonzero(limited)
        self._soft = p.soft[self._rows]
        self.num_slacks = int(self._soft.sum()) * n_steps
        self._build_rows()

    def _build_rows(self) -> None:
        """Stack rate rows, lower and upper state rows, and final rows; their limits vary."""
        p, m, s = self.problem, self.num_inputs, self.num_slacks
        n_steps, nu = p.horizon, p.num_controls
        directions = p.rows[self._rows]
        stacked = (directions @ self._gamma[1:]).reshape(-1, m)
        self._free = directions @ self._phi[1:]
        slack = np.zeros((len(stacked), s))
        soft = np.flatnonzero(np.tile(self._soft, n_steps))
        slack[soft, np.arange(s)] = 1.0
        blocks = []
        self._rated = np.flatnonzero(np.isfinite(p.rate))
        change = np.eye(m) - np.eye(m, k=-nu)
        picked = (np.arange(n_steps)[:, None] * nu + self._rated).ravel()
        blocks.append(np.hstack([change[picked], np.zeros((len(picked), s))]))
        if s:
            blocks += [np.hstack([stacked, slack]), np.hstack([stacked, -slack])]
        else:
            blocks.append(stacked)
        if p.final_rows is not None:
            last = p.final_rows @ self._gamma[-1]
            blocks.append(np.hstack([last, np.zeros((len(last), s))]))
        self._matrix = np.ascontiguousarray(np.vstack(blocks))

    def build(self, instance: MpcInstance) -> QPData:
        """Return the quadratic program of one state."""
        p, x = self.problem, instance.state
        base = self._cost if instance.final is None else self._cost_without_final
        hessian, slope, pull = base
        g = slope @ x - np.einsum("kmn,kn->m", pull, instance.targets)
        if instance.final is not None:
            last = self._gamma[-1]
            curvature = instance.final.curvature
            hessian = hessian + last.T @ curvature @ last
            g = g + last.T @ (curvature @ (self._phi[-1] @ x) + instance.final.slope)
        m, s = self.num_inputs, self.num_slacks
        low, high = shifted_inputs(p, instance)
        lb = np.concatenate([np.tile(low, p.horizon), np.zeros(s)])
        ub = np.concatenate([np.tile(high, p.horizon), np.full(s, np.inf)])
        if s:
            whole = np.zeros((m + s, m + s))
            whole[:m, :m] = hessian
            whole[m:, m:] = 2.0 * p.soft_quadratic * np.eye(s)
            hessian, g = whole, np.concatenate([g, np.full(s, p.soft_linear)])
        lower, upper = self._limits(instance)
        return QPData(0.5 * (hessian + hessian.T), g, self._matrix, lower, upper, lb, ub)

    def _limits(self, instance: MpcInstance) -> tuple[np.ndarray, np.ndarray]:
        p, x = self.problem, instance.state
        bound = np.tile(p.rate[self._rated], p.horizon)
        first = np.zeros_like(bound)
        first[: len(self._rated)] = instance.previous[self._rated]
        lower, upper = [first - bound], [first + bound]
        free = self._free @ x
        row_low, row_high = shifted_rows(p, instance)
        low, high = row_low[self._rows] - free, row_high[self._rows] - free
        if self.num_slacks:  # low rows with +slack, high rows with -slack
            lower += [low.ravel(), np.full(low.size, -np.inf)]
            upper += [np.full(high.size, np.inf), high.ravel()]
        else:
            lower.append(low.ravel())
            upper.append(high.ravel())
        if p.final_rows is not None and p.final_high is not None:
            lower.append(np.full(len(p.final_high), -np.inf))
            upper.append(p.final_high - p.final_rows @ (self._phi[-1] @ x))
        return np.concatenate(lower), np.concatenate(upper)

    def controls(self, solution: np.ndarray) -> np.ndarray:
        """Return u_0 .. u_{N-1} `[N, nu]` of a solution."""
        return solution[: self.num_inputs].reshape(self.problem.horizon, -1)

    def start(self, controls: np.ndarray) -> np.ndarray:
        """Return a start for the solver from inputs `[N, nu]`, slacks 0."""
        return np.concatenate([controls.ravel(), np.zeros(self.num_slacks)])


def shifted_inputs(p: MpcProblem, instance: MpcInstance) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of the inputs `[nu]`, moved by the instance's shift."""
    shift = 0.0 if instance.control_shift is None else instance.control_shift
    return p.low + shift, p.high + shift


def shifted_rows(p: MpcProblem, instance: MpcInstance) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of the state rows `[p]`, moved by the instance's shift."""
    if instance.state_shift is None:
        return p.row_low, p.row_high
    shift = p.rows @ instance.state_shift
    return p.row_low + shift, p.row_high + shift
