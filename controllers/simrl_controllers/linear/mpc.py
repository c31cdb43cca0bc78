"""Solve linear MPC problems, one state after another."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simrl_controllers.linear.condensed import CondensedMpc
from simrl_controllers.linear.problem import MpcInstance, MpcProblem
from simrl_controllers.linear.sparse import SparseMpc
from simrl_controllers.qp import QPResult, QPSettings, QPStatus, QPWorkspace

Form = Literal["condensed", "sparse"]
"""Which variables the quadratic program has: inputs alone, or inputs and states."""


@dataclass(frozen=True)
class MpcSolution:
    """Hold the plan from one state."""

    controls: np.ndarray
    """u_0 .. u_{N-1} `[N, nu]`; meaningless unless the status is "solved"."""
    states: np.ndarray
    """x_0 .. x_N `[N + 1, n]` that the model predicts for them."""
    cost: float
    """Cost of the plan, constant terms included, violations of soft limits too."""
    status: QPStatus
    """How the solve ended."""
    kkt_residual: float
    """KKT residual of the quadratic program."""
    solve_time: float
    """Wall time of building and solving [s]."""

    @property
    def success(self) -> bool:
        """Whether the plan is optimal."""
        return self.status == "solved"


class LinearMpc:
    """Plan optimal inputs of a linear model under limits.

    Args:
        problem: The problem; all of its solves share the matrices.
        solver: QP solver, one of `simrl_controllers.qp.SOLVERS`.
        form: "condensed" for few states or long motion under few inputs, "sparse" for long
            horizons; both have the same answer.
        settings: Settings of the solver.
    """

    def __init__(
        self,
        problem: MpcProblem,
        *,
        solver: str = "daqp",
        form: Form = "condensed",
        settings: QPSettings | None = None,
    ) -> None:
        if form not in ("condensed", "sparse"):
            raise ValueError(f"unknown form {form!r}; the forms are condensed, sparse")
        self.problem = problem
        self._condensed = CondensedMpc(problem) if form == "condensed" else None
        self._sparse = SparseMpc(problem) if form == "sparse" else None
        self._workspace = QPWorkspace(solver, settings or QPSettings(reuse=False, check=False))

    def solve(self, instance: MpcInstance, guess: np.ndarray | None = None) -> MpcSolution:
        """Plan from one state; `guess` are inputs `[N, nu]` that are probably close.

        Raises:
            ValueError: the state, targets or previous input hold NaN or do not fit.
        """
        begin = time.perf_counter()
        self._check(instance)
        result, controls = self._run(instance, guess)
        states = self.predict(instance.state, controls)
        cost = self._cost(instance, states, controls)
        taken = time.perf_counter() - begin
        return MpcSolution(controls, states, cost, result.status, result.kkt_residual, taken)

    def predict(self, state: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """Return x_0 .. x_N `[N + 1, n]` under inputs `[N, nu]`."""
        states = [state]
        for control in controls:
            states.append(self.problem.a @ states[-1] + self.problem.b @ control)
        return np.array(states)

    def _run(self, instance: MpcInstance, guess: np.ndarray | None) -> tuple[QPResult, np.ndarray]:
        if self._condensed is not None:
            data = self._condensed.build(instance)
            warm = None if guess is None else (self._condensed.start(guess), None)
            result = self._workspace.solve(
                data.H, data.g, data.A, data.l, data.u, data.lb, data.ub, warm=warm
            )
            return result, self._condensed.controls(result.x)
        if self._sparse is None:
            raise ValueError("no form was built")
        result = self._workspace.solve(*self._sparse.build(instance))
        return result, self._sparse.controls(result.x)

    def _cost(self, instance: MpcInstance, states: np.ndarray, controls: np.ndarray) -> float:
        p = self.problem
        off = states - instance.targets
        total = float(np.einsum("ki,ij,kj->", off[:-1], p.q, off[:-1]))
        total += float(np.einsum("ki,ij,kj->", controls, p.r, controls))
        if instance.final is None:
            total += float(off[-1] @ p.final @ off[-1])
        else:
            last = states[-1]
            total += float(
                instance.final.slope @ last + 0.5 * last @ instance.final.curvature @ last
            )
        shift = np.zeros(p.num_states) if instance.state_shift is None else instance.state_shift
        rows = (states[1:] - shift) @ p.rows.T
        over = np.maximum(0.0, np.maximum(p.row_low - rows, rows - p.row_high))[:, p.soft]
        return total + float((p.soft_linear * over + p.soft_quadratic * over**2).sum())

    def _check(self, instance: MpcInstance) -> None:
        p = self.problem
        shapes = {
            "state": (instance.state, (p.num_states,)),
            "targets": (instance.targets, (p.horizon + 1, p.num_states)),
            "previous": (instance.previous, (p.num_controls,)),
        }
        for name, (part, shape) in shapes.items():
            if part.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {part.shape}")
            if not np.isfinite(part).all():
                raise ValueError(f"{name} holds numbers that are not finite")
