"""Drive the interior-point solver piqp, dense or sparse."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from simrl_controllers.qp.backend import Raw, Split, Start, failed, import_solver
from simrl_controllers.qp.problem import QPProblem
from simrl_controllers.qp.result import QPStatus


class Piqp:
    """Solve with piqp (Schwan et al. 2023); keeps its set-up while the structure stays the same.

    Sparse problems go to its sparse solver with the linear algebra named `kkt_solver`
    ("sparse_ldlt", "sparse_multistage", ...); an interior-point method takes no start.
    """

    def __init__(self, accuracy: float, max_iter: int, kkt_solver: str = "") -> None:
        self._piqp = import_solver("piqp")
        self._accuracy, self._max_iter = accuracy, max_iter
        self._kkt_solver = self._named_solver(kkt_solver) if kkt_solver else None
        self._solver: Any = None
        self._split: Split | None = None
        self._pattern: list[np.ndarray] = []

    def solve(self, problem: QPProblem, start: Start | None, *, fresh: bool) -> Raw:
        """Solve; the start is not used."""
        split = Split(problem)
        equal, target = split.equalities(problem)
        rows, low, high = split.inequalities(problem)
        lb, ub = split.bounds(problem)
        matrices = [problem.H, equal, rows]
        if problem.sparse:
            matrices = [_csc(matrix) for matrix in matrices]
            # Only the upper triangle of H is read, and a pattern must not change in an update.
            pattern = [part for m in matrices for part in (m.indptr, m.indices)]
        else:
            matrices = [np.asfortranarray(matrix) for matrix in matrices]
            pattern = [np.array([0])]
        same = len(pattern) == len(self._pattern) and all(
            np.array_equal(a, b) for a, b in zip(pattern, self._pattern, strict=True)
        )
        data = (matrices[0], problem.g, matrices[1], target, matrices[2], low, high, lb, ub)
        if fresh or self._solver is None or not same or not split.same(self._split):
            self._solver = self._new(problem.sparse)
            self._solver.setup(*data)
            self._split, self._pattern = split, pattern
        else:
            self._solver.update(*data)
        return self._run(problem, split)

    def _run(self, problem: QPProblem, split: Split) -> Raw:
        status, result = self._solver.solve(), self._solver.result
        found = self._status(status)
        if found != "solved":
            self._solver = None
        x = np.array(result.x)
        if not np.isfinite(x).all():
            return failed(problem, found, int(result.info.iter))
        unequal = np.array(result.z_u) - np.array(result.z_l)
        bound = np.array(result.z_bu) - np.array(result.z_bl)
        y, z = split.join(np.array(result.y), unequal, bound)
        return Raw(x, y, z, found, int(result.info.iter))

    def _new(self, sparse: bool) -> Any:
        solver = self._piqp.SparseSolver() if sparse else self._piqp.DenseSolver()
        settings = solver.settings
        settings.eps_abs, settings.eps_rel = self._accuracy, 0.0
        settings.eps_duality_gap_abs, settings.eps_duality_gap_rel = self._accuracy, self._accuracy
        if self._max_iter:
            settings.max_iter = self._max_iter
        if sparse and self._kkt_solver is not None:
            settings.kkt_solver = self._kkt_solver
        return solver

    def _named_solver(self, name: str) -> Any:
        valid = [key for key in dir(self._piqp) if key.startswith("sparse_")]
        if name not in valid:
            raise ValueError(f"piqp has no kkt_solver {name!r}; there are {', '.join(valid)}")
        return getattr(self._piqp, name)

    def _status(self, status: Any) -> QPStatus:
        names: dict[Any, QPStatus] = {
            self._piqp.PIQP_SOLVED: "solved",
            self._piqp.PIQP_PRIMAL_INFEASIBLE: "infeasible",
            self._piqp.PIQP_DUAL_INFEASIBLE: "unbounded",
            self._piqp.PIQP_MAX_ITER_REACHED: "max_iter",
        }
        return names.get(status, "failed")


def _csc(matrix: Any) -> sp.csc_matrix:
    result = sp.csc_matrix(matrix)
    result.sort_indices()
    return result
