"""Keep the states of a linear MPC problem as variables: larger, but sparse matrices."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from simrl_controllers.linear.condensed import shifted_inputs, shifted_rows
from simrl_controllers.linear.problem import MpcInstance, MpcProblem


class SparseMpc:
    """Build sparse problems in u_0, x_1, u_1, ..., x_N, slacks last, with the model as equalities.

    The matrices do not change from solve to solve unless a final cost is given.
    """

    def __init__(self, problem: MpcProblem) -> None:
        self.problem = p = problem
        n, nu, n_steps = p.num_states, p.num_controls, p.horizon
        self._stage = nu + n
        self.num_inputs = n_steps * nu
        limited = np.isfinite(p.row_low) | np.isfinite(p.row_high)
        self._rows = np.flatnonzero(limited)
        self._soft = p.soft[self._rows]
        self.num_slacks = int(self._soft.sum()) * n_steps
        self._base = n_steps * self._stage
        self._inputs = (np.arange(n_steps)[:, None] * self._stage + np.arange(nu)).ravel()
        self._states = (np.arange(n_steps)[:, None] * self._stage + nu + np.arange(n)).ravel()
        self._cost = self._hessian(p.final)
        self._cost_without_final = self._hessian(np.zeros((n, n)))
        self._matrix = self._constraints()

    def _pick(self, columns: np.ndarray) -> sp.csc_matrix:
        """Return the matrix that picks these variables out of all."""
        size = self._base + self.num_slacks
        ones = np.ones(len(columns))
        place = (np.arange(len(columns)), columns)
        return sp.csc_matrix((ones, place), shape=(len(columns), size))

    def _hessian(self, final: np.ndarray) -> sp.csc_matrix:
        p = self.problem
        states = sp.block_diag([p.q] * (p.horizon - 1) + [final])
        inputs = sp.block_diag([p.r] * p.horizon)
        pick_x, pick_u = self._pick(self._states), self._pick(self._inputs)
        total = pick_x.T @ states @ pick_x + pick_u.T @ inputs @ pick_u
        if self.num_slacks:
            pick_s = self._pick(self._base + np.arange(self.num_slacks))
            total = total + p.soft_quadratic * (pick_s.T @ pick_s)
        return sp.csc_matrix(2.0 * total)

    def _constraints(self) -> sp.csc_matrix:
        p, n_steps = self.problem, self.problem.horizon
        pick_x, pick_u = self._pick(self._states), self._pick(self._inputs)
        later = sp.eye(n_steps, k=-1)
        model = pick_x - sp.kron(later, p.a) @ pick_x - sp.kron(sp.eye(n_steps), p.b) @ pick_u
        self._rated = np.flatnonzero(np.isfinite(p.rate))
        nu = p.num_controls
        picked = (np.arange(n_steps)[:, None] * nu + self._rated).ravel()
        change = (pick_u - sp.kron(later, sp.eye(nu)) @ pick_u).tocsr()[picked]
        directions = sp.kron(sp.eye(n_steps), p.rows[self._rows]) @ pick_x
        blocks = [model, change]
        if self.num_slacks:
            soft = np.flatnonzero(np.tile(self._soft, n_steps))
            place = (soft, self._base + np.arange(self.num_slacks))
            slack = sp.csc_matrix((np.ones(len(soft)), place), shape=directions.shape)
            blocks += [directions + slack, directions - slack]
        else:
            blocks.append(directions)
        if p.final_rows is not None:
            blocks.append(sp.csc_matrix(p.final_rows) @ self._pick(self._states[-p.num_states :]))
        return sp.csc_matrix(sp.vstack(blocks))

    def build(
        self, instance: MpcInstance
    ) -> tuple[
        sp.csc_matrix, np.ndarray, sp.csc_matrix, np.ndarray, np.ndarray, np.ndarray, np.ndarray
    ]:
        """Return H, g, A, l, u, lb and ub of one state."""
        p, n, n_steps = self.problem, self.problem.num_states, self.problem.horizon
        size = self._base + self.num_slacks
        hessian = self._cost if instance.final is None else self._cost_without_final
        g = np.zeros(size)
        weighted = -2.0 * instance.targets[1:] @ p.q
        if instance.final is None:
            weighted[-1] = -2.0 * p.final @ instance.targets[-1]
        else:
            weighted[-1] = instance.final.slope
            pick = self._pick(self._states[-n:])
            hessian = sp.csc_matrix(hessian + pick.T @ instance.final.curvature @ pick)
        g[self._states] = weighted.ravel()
        g[self._base :] = p.soft_linear
        lb, ub = np.full(size, -np.inf), np.full(size, np.inf)
        low, high = shifted_inputs(p, instance)
        lb[self._inputs], ub[self._inputs] = np.tile(low, n_steps), np.tile(high, n_steps)
        lb[self._base :] = 0.0
        lower, upper = self._limits(instance)
        return hessian, g, self._matrix, lower, upper, lb, ub

    def _limits(self, instance: MpcInstance) -> tuple[np.ndarray, np.ndarray]:
        p = self.problem
        start = np.zeros(p.horizon * p.num_states)
        start[: p.num_states] = p.a @ instance.state
        bound = np.tile(p.rate[self._rated], p.horizon)
        first = np.zeros_like(bound)
        first[: len(self._rated)] = instance.previous[self._rated]
        row_low, row_high = shifted_rows(p, instance)
        low = np.tile(row_low[self._rows], p.horizon)
        high = np.tile(row_high[self._rows], p.horizon)
        lower, upper = [start, first - bound], [start, first + bound]
        if self.num_slacks:
            lower += [low, np.full(len(low), -np.inf)]
            upper += [np.full(len(high), np.inf), high]
        else:
            lower.append(low)
            upper.append(high)
        if p.final_high is not None:
            lower.append(np.full(len(p.final_high), -np.inf))
            upper.append(p.final_high)
        return np.concatenate(lower), np.concatenate(upper)

    def controls(self, solution: np.ndarray) -> np.ndarray:
        """Return u_0 .. u_{N-1} `[N, nu]` of a solution."""
        return solution[self._inputs].reshape(self.problem.horizon, -1)

    def start(self, controls: np.ndarray) -> None:
        """Return no start: the sparse solvers begin at their own point."""
