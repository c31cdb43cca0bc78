"""What the adapter asks of a solver, and how equalities are told from inequalities."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from simrl_controllers.qp.problem import QPProblem
from simrl_controllers.qp.result import QPStatus


@dataclass(frozen=True)
class Raw:
    """Hold what a solver returned, in the adapter's signs and order but not yet checked."""

    x: np.ndarray
    """Solution `[n]`."""
    y: np.ndarray
    """Multipliers of the rows of A `[m]`."""
    z: np.ndarray
    """Multipliers of the bounds `[n]`."""
    status: QPStatus
    """How the solver says that it ended."""
    iterations: int
    """Its iterations."""


@dataclass(frozen=True)
class Start:
    """Hold a point for the solver to start from."""

    x: np.ndarray
    """Guess of the solution `[n]`."""
    duals: np.ndarray | None
    """Guess of the multipliers `[m + n]`."""


class Backend(Protocol):
    """Solve one problem after another with one library, reusing its memory where it can."""

    def solve(self, problem: QPProblem, start: Start | None, *, fresh: bool) -> Raw:
        """Solve; with `fresh`, forget everything that earlier problems left behind."""
        ...


def import_solver(package: str) -> Any:
    """Import a solver's package; ImportError says in one line what to install."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        distribution = {"proxsuite": "proxsuite"}.get(package, package)
        raise ImportError(
            f"the QP solver needs the package {distribution}: pip install 'simrl[robots]' "
            f"or pip install {distribution}"
        ) from error


def failed(problem: QPProblem, status: QPStatus = "failed", iterations: int = 0) -> Raw:
    """Return zeros with the status of a solve that gave no solution."""
    n, m = problem.num_vars, problem.num_rows
    return Raw(np.zeros(n), np.zeros(m), np.zeros(n), status, iterations)


class Split:
    """Tell equality rows and fixed variables from inequalities and bounds.

    Solvers of the form `E x = d`, `lo <= G x <= hi`, `xl <= x <= xu` need them apart; rows without
    any limit are left out.
    """

    def __init__(self, problem: QPProblem) -> None:
        self.equal = np.flatnonzero(problem.equal_rows)
        self.fixed = np.flatnonzero(problem.equal_bounds)
        limited = np.isfinite(problem.l) | np.isfinite(problem.u)
        self.unequal = np.flatnonzero(limited & ~problem.equal_rows)
        self.num_rows, self.num_vars = problem.num_rows, problem.num_vars
        self.finite = np.concatenate(
            [np.isfinite(part) for part in (problem.l, problem.u, problem.lb, problem.ub)]
        )

    def same(self, other: Split | None) -> bool:
        """Whether the other problem has the same limits of each kind in the same places."""
        return (
            other is not None
            and self.num_rows == other.num_rows
            and self.num_vars == other.num_vars
            and np.array_equal(self.finite, other.finite)
            and np.array_equal(self.equal, other.equal)
            and np.array_equal(self.fixed, other.fixed)
        )

    def equalities(self, problem: QPProblem) -> tuple[Any, np.ndarray]:
        """Return E `[e, n]` and d `[e]`: equality rows, then fixed variables."""
        rows, target = problem.A[self.equal], problem.u[self.equal]
        if len(self.fixed):
            if problem.sparse:
                pick = sp.eye_array(self.num_vars, format="csr")[self.fixed]
                rows = sp.csc_matrix(sp.vstack([rows, pick]))
            else:
                rows = np.vstack([rows, np.eye(self.num_vars)[self.fixed]])
            target = np.concatenate([target, problem.ub[self.fixed]])
        return rows, target

    def inequalities(self, problem: QPProblem) -> tuple[Any, np.ndarray, np.ndarray]:
        """Return G `[i, n]`, lo `[i]` and hi `[i]`."""
        return problem.A[self.unequal], problem.l[self.unequal], problem.u[self.unequal]

    def bounds(self, problem: QPProblem) -> tuple[np.ndarray, np.ndarray]:
        """Return xl `[n]` and xu `[n]`, without those of fixed variables."""
        low, high = problem.lb.copy(), problem.ub.copy()
        low[self.fixed], high[self.fixed] = -np.inf, np.inf
        return low, high

    def join(
        self, equal: np.ndarray, unequal: np.ndarray, bound: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Put multipliers of E, G and the bounds back as y `[m]` and z `[n]`."""
        y, z = np.zeros(self.num_rows), np.array(bound, np.float64)
        y[self.equal] = equal[: len(self.equal)]
        y[self.unequal] = unequal
        z[self.fixed] = equal[len(self.equal) :]
        return y, z

    def part(self, duals: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Undo `join`: split duals `[m + n]` into those of E, G and the bounds."""
        y, z = duals[: self.num_rows], duals[self.num_rows :].copy()
        equal = np.concatenate([y[self.equal], z[self.fixed]])
        z[self.fixed] = 0.0
        return equal, y[self.unequal], z
