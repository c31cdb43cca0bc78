"""Drive the first-order solver osqp and the augmented-Lagrangian solver proxqp."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from simrl_controllers.qp.backend import Raw, Split, Start, import_solver
from simrl_controllers.qp.problem import INFINITY, QPProblem
from simrl_controllers.qp.result import QPStatus

_OSQP_STATUS: dict[str, QPStatus] = {
    "OSQP_SOLVED": "solved",
    "OSQP_SOLVED_INACCURATE": "inaccurate",
    "OSQP_PRIMAL_INFEASIBLE": "infeasible",
    "OSQP_PRIMAL_INFEASIBLE_INACCURATE": "infeasible",
    "OSQP_DUAL_INFEASIBLE": "unbounded",
    "OSQP_DUAL_INFEASIBLE_INACCURATE": "unbounded",
    "OSQP_MAX_ITER_REACHED": "max_iter",
}


class Osqp:
    """Solve with osqp (Stellato et al. 2020); keeps its factorisation and last iterate.

    Every problem is sparse to it; solutions are polished, which brings the accuracy of an active
    set where the set was found.
    """

    def __init__(self, accuracy: float, max_iter: int) -> None:
        self._osqp = import_solver("osqp")
        self._names = {int(status): status.name for status in self._osqp.SolverStatus}
        self._settings = {
            "eps_abs": accuracy,
            "eps_rel": accuracy,
            "max_iter": max_iter or 20_000,
            "polishing": True,
            "verbose": False,
        }
        self._solver: Any = None
        self._pattern: tuple[np.ndarray, ...] = ()

    def solve(self, problem: QPProblem, start: Start | None, *, fresh: bool) -> Raw:
        """Solve; the last iterate is the start unless another one is given."""
        cost = sp.triu(problem.H, format="csc")
        n, m = problem.num_vars, problem.num_rows
        bounded = np.flatnonzero(np.isfinite(problem.lb) | np.isfinite(problem.ub))
        pick = sp.eye_array(n, format="csr")[bounded]
        rows = sp.csc_matrix(sp.vstack([sp.csc_matrix(problem.A), pick]))
        rows.sort_indices()
        low = np.concatenate([problem.l, problem.lb[bounded]])
        high = np.concatenate([problem.u, problem.ub[bounded]])
        pattern = (cost.indptr, cost.indices, rows.indptr, rows.indices)
        same = len(self._pattern) == 4 and all(map(np.array_equal, pattern, self._pattern))
        if fresh or self._solver is None or not same:
            self._solver = self._osqp.OSQP()
            self._solver.setup(cost, problem.g, rows, low, high, **self._settings)
            self._pattern = pattern
        else:
            self._solver.update(Px=cost.data, q=problem.g, Ax=rows.data, l=low, u=high)
        if start is not None:
            duals = start.duals
            y = None if duals is None else np.concatenate([duals[:m], duals[m:][bounded]])
            self._solver.warm_start(x=start.x, y=y)
        result = self._solver.solve(raise_error=False)
        status = _OSQP_STATUS.get(self._names.get(int(result.info.status_val), ""), "failed")
        y, z = np.zeros(m), np.zeros(n)
        x = _finite(result.x, n)
        duals = _finite(result.y, len(low))
        y[:], z[bounded] = duals[:m], duals[m:]
        if status != "solved":
            self._solver = None
        return Raw(x, y, z, status, int(result.info.iter))


def _finite(values: np.ndarray | None, size: int) -> np.ndarray:
    """Return the values, or zeros where the solver gave none."""
    if values is None or len(values) != size:
        return np.zeros(size)
    return np.nan_to_num(np.array(values, np.float64), posinf=0.0, neginf=0.0)


class Proxqp:
    """Solve with proxqp's dense solver (Bambade et al. 2022); keeps its set-up and last iterate.

    Its default accuracy of 1e-5 is loose and its warm update has been seen to end at wrong points,
    so the accuracy is set and every result is checked by the adapter.
    """

    def __init__(self, accuracy: float, max_iter: int) -> None:
        self._proxqp = import_solver("proxsuite").proxqp
        self._accuracy, self._max_iter = accuracy, max_iter
        self._solver: Any = None
        self._split: Split | None = None

    def solve(self, problem: QPProblem, start: Start | None, *, fresh: bool) -> Raw:
        """Solve; the last iterate is the start unless another one is given."""
        qp, split = problem.dense, Split(problem)
        equal, target = split.equalities(qp)
        rows, low, high = split.inequalities(qp)
        lb, ub = split.bounds(qp)
        limits = [np.clip(part, -INFINITY, INFINITY) for part in (low, high, lb, ub)]
        data = (qp.H, qp.g, equal, target, rows, *limits)
        new = fresh or self._solver is None or not split.same(self._split)
        if new:
            self._solver = self._new(qp.num_vars, len(target), len(low))
            self._solver.init(*data)
            self._split = split
        else:
            self._solver.update(*data)
        guess = self._proxqp.InitialGuess
        if start is not None and start.duals is not None:
            self._solver.settings.initial_guess = guess.WARM_START
            eq, unequal, bound = split.part(start.duals)
            self._solver.solve(start.x, eq, np.concatenate([unequal, bound]))
        else:
            self._solver.settings.initial_guess = (
                guess.EQUALITY_CONSTRAINED_INITIAL_GUESS
                if new
                else guess.WARM_START_WITH_PREVIOUS_RESULT
            )
            self._solver.solve()
        return self._read(split)

    def _new(self, num_vars: int, num_equal: int, num_unequal: int) -> Any:
        solver = self._proxqp.dense.QP(num_vars, num_equal, num_unequal, True)
        solver.settings.eps_abs, solver.settings.eps_rel = self._accuracy, 0.0
        # Without the gap it stops at points that touch their limits only to 1e-6.
        solver.settings.check_duality_gap = True
        solver.settings.eps_duality_gap_abs = self._accuracy
        solver.settings.eps_duality_gap_rel = 0.0
        if self._max_iter:
            solver.settings.max_iter = self._max_iter
        return solver

    def _read(self, split: Split) -> Raw:
        results = self._solver.results
        output = self._proxqp.QPSolverOutput
        names: dict[Any, QPStatus] = {
            output.PROXQP_SOLVED: "solved",
            output.PROXQP_PRIMAL_INFEASIBLE: "infeasible",
            output.PROXQP_DUAL_INFEASIBLE: "unbounded",
            output.PROXQP_MAX_ITER_REACHED: "max_iter",
        }
        status = names.get(results.info.status, "failed")
        if status != "solved":
            self._solver = None
        z = np.array(results.z)
        count = len(split.unequal)
        y, bound = split.join(np.array(results.y), z[:count], z[count:])
        return Raw(np.array(results.x), y, bound, status, int(results.info.iter))
