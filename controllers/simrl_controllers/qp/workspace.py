"""Solve quadratic programs and hold every answer to the optimality conditions."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simrl_controllers.qp.active_set import Daqp, Quadprog, without_dependent_rows
from simrl_controllers.qp.backend import Backend, Raw, Start, failed
from simrl_controllers.qp.interior_point import Piqp
from simrl_controllers.qp.problem import Matrix, QPProblem, Warm
from simrl_controllers.qp.proximal import Osqp, Proxqp
from simrl_controllers.qp.residual import kkt_residual
from simrl_controllers.qp.result import QPResult


@dataclass(frozen=True)
class QPSettings:
    """Set how exactly problems are solved."""

    tolerance: float = 1e-6
    """KKT residual above which a result is a failure, whatever the solver says."""
    accuracy: float = 1e-9
    """Accuracy asked of the solver."""
    max_iter: int = 0
    """Most iterations; 0 for the solver's own limit."""
    kkt_solver: str = ""
    """piqp's linear algebra for sparse problems, such as sparse_multistage; "" for its default."""
    reuse: bool = True
    """Let the solver keep memory, factors and active sets between problems.  Without it an answer
    depends on its own problem and start alone, bit for bit."""
    check: bool = True
    """Check the input for NaN, asymmetry and negative curvature, at the price of a Cholesky."""

    def __post_init__(self) -> None:
        for name in ("tolerance", "accuracy"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.max_iter < 0:
            raise ValueError(f"max_iter must be 0 (no limit of ours) or more, got {self.max_iter}")


_BACKENDS: dict[str, Callable[[QPSettings], Backend]] = {
    "daqp": lambda s: Daqp(s.accuracy, s.max_iter),
    "quadprog": lambda s: Quadprog(s.accuracy, s.max_iter),
    "piqp": lambda s: Piqp(s.accuracy, s.max_iter, s.kkt_solver),
    "osqp": lambda s: Osqp(s.accuracy, s.max_iter),
    "proxqp": lambda s: Proxqp(s.accuracy, s.max_iter),
}

SOLVERS = tuple(_BACKENDS)
"""Names of the solvers.  daqp, quadprog (small, dense) and proxqp turn sparse matrices into dense
ones; piqp keeps them sparse; osqp makes every problem sparse."""

_DEFAULTS = QPSettings()


class QPWorkspace:
    """Solve one problem after another, reusing what the solver can keep between them.

    Problems may differ in anything; memory, factorisations and active sets are reused where sizes,
    sparsity and the kinds of limits stay the same.  An answer that such a reuse made wrong is
    solved again from scratch, and counted in `restarts`.

    Raises:
        ValueError: the solver is unknown; the message lists the solvers.
        ImportError: the solver's package is missing; the message says what to install.
    """

    def __init__(self, solver: str = "daqp", settings: QPSettings = _DEFAULTS) -> None:
        if solver not in _BACKENDS:
            raise ValueError(f"unknown QP solver {solver!r}; the solvers are {', '.join(SOLVERS)}")
        self.solver = solver
        self.settings = settings
        self.restarts = 0
        """Solves that had to be repeated from scratch."""
        self._backend = _BACKENDS[solver](settings)
        self._used = False

    def solve(
        self,
        H: Matrix,  # noqa: N803 (the field's letters)
        g: np.ndarray,
        A: Matrix | None = None,  # noqa: N803
        l: np.ndarray | None = None,  # noqa: E741
        u: np.ndarray | None = None,
        lb: np.ndarray | None = None,
        ub: np.ndarray | None = None,
        *,
        warm: Warm | None = None,
    ) -> QPResult:
        """Minimise 1/2 x H x + g x subject to l <= A x <= u and lb <= x <= ub.

        H `[n, n]` symmetric positive semidefinite and A `[m, n]` may be scipy sparse; limits may be
        infinite (1e20 and more counts as infinite), None means none; equal limits make an equality.
        `warm` is a start for solvers that take one (daqp, osqp, proxqp).

        Returns:
            The solution with its KKT residual.  An infeasible, unbounded or otherwise unsolved
            problem is told by the status and never raises.

        Raises:
            ValueError: a part has the wrong shape, is not finite, or H is not symmetric or has
                negative curvature; the message names the part.
        """
        begin = time.perf_counter()
        problem = QPProblem.build(H, g, A, l, u, lb, ub, check=self.settings.check)
        start = _start(warm, problem)
        if problem.crossed:
            raw, residual = failed(problem, "infeasible"), math.inf
        else:
            raw, residual = self._attempt(problem, start)
        duals = np.concatenate([raw.y, raw.z])
        status = raw.status
        if status == "solved" and residual > self.settings.tolerance:
            status = "inaccurate"
        elif status == "inaccurate" and residual <= self.settings.tolerance:
            status = "solved"
        taken = time.perf_counter() - begin
        return QPResult(raw.x, duals, status, residual, raw.iterations, taken)

    def _attempt(self, problem: QPProblem, start: Start | None) -> tuple[Raw, float]:
        """Solve; again from scratch if reuse may be at fault, again without dependent rows."""
        reuse = self.settings.reuse
        reused = (reuse and self._used) or start is not None
        raw, residual = self._once(problem, start, fresh=not reuse)
        self._used = True
        good = raw.status == "solved" and residual <= self.settings.tolerance
        if not good and reused:
            self.restarts += 1
            raw, residual = self._once(problem, None, fresh=True)
            good = raw.status == "solved" and residual <= self.settings.tolerance
        if not good:
            reduced = without_dependent_rows(problem)
            if reduced is not None:
                return self._reduced(problem, *reduced)
        return raw, residual

    def _reduced(
        self, problem: QPProblem, smaller: QPProblem, keep: np.ndarray
    ) -> tuple[Raw, float]:
        raw, _ = self._once(smaller, None, fresh=True)
        y = np.zeros(problem.num_rows)
        y[keep] = raw.y
        whole = Raw(raw.x, y, raw.z, raw.status, raw.iterations)
        return whole, _residual(problem, whole)

    def _once(self, problem: QPProblem, start: Start | None, *, fresh: bool) -> tuple[Raw, float]:
        try:
            raw = self._backend.solve(problem, start, fresh=fresh)
        except (ValueError, RuntimeError, ArithmeticError, np.linalg.LinAlgError):
            # The input was checked, so this is the solver's own trouble: a failure, not a crash.
            raw = failed(problem)
        return raw, _residual(problem, raw)


def solve_qp(
    H: Matrix,  # noqa: N803 (the field's letters)
    g: np.ndarray,
    A: Matrix | None = None,  # noqa: N803
    l: np.ndarray | None = None,  # noqa: E741
    u: np.ndarray | None = None,
    lb: np.ndarray | None = None,
    ub: np.ndarray | None = None,
    *,
    solver: str = "daqp",
    warm: Warm | None = None,
    settings: QPSettings = _DEFAULTS,
) -> QPResult:
    """Solve one quadratic program; see `QPWorkspace.solve` for the arguments and errors."""
    return QPWorkspace(solver, settings).solve(H, g, A, l, u, lb, ub, warm=warm)


def _residual(problem: QPProblem, raw: Raw) -> float:
    return kkt_residual(problem, raw.x, np.concatenate([raw.y, raw.z])).worst


def _start(warm: Warm | None, problem: QPProblem) -> Start | None:
    if warm is None:
        return None
    if isinstance(warm, QPResult):
        if not warm.success:
            return None
        warm = (warm.x, warm.duals)
    x, duals = np.asarray(warm[0], np.float64), warm[1]
    n, m = problem.num_vars, problem.num_rows
    if x.shape != (n,):
        raise ValueError(f"warm: x must have shape {(n,)}, got {x.shape}")
    if duals is not None and np.shape(duals) != (m + n,):
        raise ValueError(f"warm: duals must have shape {(m + n,)}, got {np.shape(duals)}")
    return Start(x, None if duals is None else np.asarray(duals, np.float64))
