"""Drive the dense dual active-set solvers: daqp and quadprog."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.linalg import qr

from simrl_controllers.qp.backend import Raw, Split, Start, failed, import_solver
from simrl_controllers.qp.problem import QPProblem
from simrl_controllers.qp.residual import kkt_residual
from simrl_controllers.qp.result import QPStatus

_DAQP_STATUS: dict[int, QPStatus] = {
    2: "solved",
    1: "solved",
    -1: "infeasible",
    -3: "unbounded",
    -4: "max_iter",
    -6: "infeasible",
}
_EQUALITY = 5
"""daqp's mark of an equality row."""
_PROXIMAL_STEPS = 60
"""Steps of the proximal-point iteration that lets quadprog solve a singular H."""


class Daqp:
    """Solve with daqp (Arnstroem et al. 2022); keeps its workspace and active set."""

    def __init__(self, accuracy: float, max_iter: int) -> None:
        self._daqp = import_solver("daqp")
        self._options: dict[str, float] = {"primal_tol": max(accuracy, 1e-11), "dual_tol": 1e-12}
        if max_iter:
            self._options["iter_limit"] = max_iter
        self._model: Any = None
        self._split: Split | None = None

    def solve(self, problem: QPProblem, start: Start | None, *, fresh: bool) -> Raw:
        """Solve; an active set carries over while the kinds of limits stay the same."""
        qp, split = problem.dense, Split(problem)
        upper = np.concatenate([qp.ub, qp.u])
        lower = np.concatenate([qp.lb, qp.l])
        if fresh or self._model is None or start is not None or not split.same(self._split):
            equal = np.concatenate([qp.equal_bounds, qp.equal_rows])
            sense = np.where(equal, _EQUALITY, 0).astype(np.int32)
            self._model, self._split = self._daqp.Model(), split
            self._model.settings = self._options
            points = _daqp_start(start, qp)
            flag, _ = self._model.setup(qp.H, qp.g, qp.A, upper, lower, sense, **points)
        else:
            flag = self._model.update(H=qp.H, f=qp.g, A=qp.A, bupper=upper, blower=lower)
        if flag < 0:
            self._model = None
            return failed(problem, _DAQP_STATUS.get(flag, "failed"))
        x, _, flag, info = self._model.solve()
        status = _DAQP_STATUS.get(flag, "failed")
        if status != "solved":
            self._model = None
        lam = np.array(info["lam"])
        n = qp.num_vars
        return Raw(np.array(x), lam[n:], lam[:n], status, int(info["iterations"]))


def _daqp_start(start: Start | None, qp: QPProblem) -> dict[str, np.ndarray]:
    if start is None:
        return {}
    points = {"primal_start": start.x}
    if start.duals is not None:
        m = qp.num_rows
        points["dual_start"] = np.concatenate([start.duals[m:], start.duals[:m]])
    return points


class Quadprog:
    """Solve with quadprog (Goldfarb and Idnani 1983); takes no start.

    It asks for a positive definite H.  A singular one is solved by the proximal-point method:
    repeat with H + eps I and g - eps x of the last step, which ends at a solution of the problem
    itself (Rockafellar 1976).
    """

    def __init__(self, accuracy: float, max_iter: int) -> None:
        self._quadprog = import_solver("quadprog")
        self._accuracy = accuracy

    def solve(self, problem: QPProblem, start: Start | None, *, fresh: bool) -> Raw:
        """Solve; nothing is kept between problems."""
        qp, split = problem.dense, Split(problem)
        rows, limits, num_equal = _one_sided(qp, split)
        raw = self._once(qp, split, qp.H, qp.g, rows, limits, num_equal)
        if raw is not None:
            return raw
        eps = 1e-6 * max(float(np.abs(qp.H).max()), 1e-6)
        cost, iterations = qp.H + eps * np.eye(qp.num_vars), 0
        last = failed(qp)
        for _ in range(_PROXIMAL_STEPS):
            raw = self._once(qp, split, cost, qp.g - eps * last.x, rows, limits, num_equal)
            if raw is None or raw.status != "solved":
                return raw or failed(qp)
            moved = float(np.abs(raw.x - last.x).max())
            iterations += raw.iterations
            last = replace(raw, iterations=iterations)
            if kkt_residual(qp, raw.x, np.concatenate([raw.y, raw.z])).worst < self._accuracy:
                break
            if moved > 1e5 and float(np.abs(raw.x).max()) > 1e6:
                return replace(last, status="unbounded")
        return last

    def _once(
        self,
        qp: QPProblem,
        split: Split,
        cost: np.ndarray,
        g: np.ndarray,
        rows: np.ndarray,
        limits: np.ndarray,
        num_equal: int,
    ) -> Raw | None:
        """Solve once; None if H is not positive definite to quadprog."""
        try:
            if not len(limits):  # quadprog asks for at least one
                if not _definite(cost):
                    return None
                return replace(failed(qp, "solved"), x=-np.linalg.solve(cost, g))
            x, _, _, count, lam, _ = self._quadprog.solve_qp(cost, -g, rows.T, limits, num_equal)
        except ValueError as error:
            if "positive definite" in str(error):
                return None
            return failed(qp, "infeasible" if "inconsistent" in str(error) else "failed")
        y, z = _two_sided(qp, split, lam)
        return Raw(x, y, z, "solved", int(count[0]))


def _definite(cost: np.ndarray) -> bool:
    try:
        np.linalg.cholesky(cost)
    except np.linalg.LinAlgError:
        return False
    return True


def _one_sided(qp: QPProblem, split: Split) -> tuple[np.ndarray, np.ndarray, int]:
    """Write all limits as C x >= b, equalities first: C `[c, n]`, b `[c]` and their number."""
    equal, target = split.equalities(qp)
    rows, low, high = split.inequalities(qp)
    lb, ub = split.bounds(qp)
    eye = np.eye(qp.num_vars)
    has_low, has_high = np.isfinite(low), np.isfinite(high)
    has_lb, has_ub = np.isfinite(lb), np.isfinite(ub)
    stacked = [equal, rows[has_low], -rows[has_high], eye[has_lb], -eye[has_ub]]
    limits = [target, low[has_low], -high[has_high], lb[has_lb], -ub[has_ub]]
    return np.vstack(stacked), np.concatenate(limits), len(target)


def _two_sided(qp: QPProblem, split: Split, lam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Undo `_one_sided` for the multipliers: H x + g = C' lam there."""
    _, low, high = split.inequalities(qp)
    lb, ub = split.bounds(qp)
    cuts = np.cumsum(
        [
            len(split.equal) + len(split.fixed),
            *(int(np.isfinite(limit).sum()) for limit in (low, high, lb)),
        ]
    )
    equal, *parts = np.split(lam, cuts)
    unequal, bound = np.zeros(len(low)), np.zeros(len(lb))
    unequal[np.isfinite(low)] -= parts[0]
    unequal[np.isfinite(high)] += parts[1]
    bound[np.isfinite(lb)] -= parts[2]
    bound[np.isfinite(ub)] += parts[3]
    return split.join(-equal, unequal, bound)


def without_dependent_rows(problem: QPProblem) -> tuple[QPProblem, np.ndarray] | None:
    """Drop equality rows that follow from the others; dual methods call them inconsistent.

    Returns the smaller problem and the indices of its rows in the given one, or None if there is
    nothing to drop or the rows contradict each other.
    """
    split = Split(problem)
    rows, target = split.equalities(problem.dense)
    if len(target) < 2:
        return None
    triangle = qr(rows.T, mode="r", pivoting=True)[0]
    size = np.abs(np.diag(triangle))
    rank = int((size > 1e-10 * max(float(size.max(initial=0.0)), 1e-300)).sum())
    if rank == len(target):
        return None
    point = np.linalg.lstsq(rows, target, rcond=None)[0]
    if float(np.abs(rows @ point - target).max()) > 1e-9 * (1.0 + float(np.abs(target).max())):
        return None
    # Fixed variables stay: it is rows of A that go, so those that the fixed ones imply go first.
    dropped = _implied(rows[: len(split.equal)], rows[len(split.equal) :])
    keep = np.setdiff1d(np.arange(problem.num_rows), split.equal[dropped])
    smaller = QPProblem(
        problem.H,
        problem.g,
        problem.A[keep],
        problem.l[keep],
        problem.u[keep],
        problem.lb,
        problem.ub,
    )
    return smaller, keep


def _implied(rows: np.ndarray, given: np.ndarray) -> list[int]:
    """List the rows that are linear combinations of `given` and of the rows before them."""
    basis, dropped = list(given), []
    for index, row in enumerate(rows):
        if basis:
            stack = np.array(basis).T
            rest = row - stack @ np.linalg.lstsq(stack, row, rcond=None)[0]
        else:
            rest = row
        if float(np.abs(rest).max()) <= 1e-9 * max(float(np.abs(row).max()), 1e-300):
            dropped.append(index)
        else:
            basis.append(row)
    return dropped
