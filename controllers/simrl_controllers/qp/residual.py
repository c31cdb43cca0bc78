"""Measure how far a point is from the optimality conditions of a quadratic program."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from simrl_controllers.qp.problem import QPProblem


@dataclass(frozen=True)
class KKTResidual:
    """Hold the four parts of the Karush-Kuhn-Tucker conditions, each scaled and infinity-normed.

    Multipliers and gradients are divided by the largest of 1, |g|, |H x| and |A' y|; a limit's
    violation and slack by the larger of 1 and the limit's size.
    """

    stationarity: float
    """|H x + g + A' y + z|."""
    primal: float
    """Violation of the limits."""
    dual: float
    """Multipliers of limits that are infinite, which must be 0."""
    complementarity: float
    """For each limit the smaller of its multiplier and its slack, one of which must be 0."""

    @property
    def worst(self) -> float:
        """The largest part."""
        return max(self.stationarity, self.primal, self.dual, self.complementarity)


def kkt_residual(problem: QPProblem, x: np.ndarray, duals: np.ndarray) -> KKTResidual:
    """Evaluate x `[n]` with multipliers `[m + n]` (signs as in `QPResult.duals`).

    All parts are infinite if any number is not finite.
    """
    m = problem.num_rows
    y, z = duals[:m], duals[m:]
    cost, rows, pull = problem.H @ x, problem.A @ x, problem.A.T @ y
    parts = _residual(
        cost,
        pull,
        rows,
        problem.g,
        x,
        y,
        z,
        problem.l,
        problem.u,
        problem.lb,
        problem.ub,
    )
    if not all(np.isfinite(parts)):
        return KKTResidual(np.inf, np.inf, np.inf, np.inf)
    return KKTResidual(*parts)


@njit(cache=True, nogil=True)
def _residual(
    cost: np.ndarray,
    pull: np.ndarray,
    rows: np.ndarray,
    g: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    l: np.ndarray,  # noqa: E741
    u: np.ndarray,
    lb: np.ndarray,
    ub: np.ndarray,
) -> tuple[float, float, float, float]:
    scale, stationarity = 1.0, 0.0
    for i in range(len(g)):
        scale = max(scale, abs(cost[i]), abs(pull[i]), abs(g[i]))
        gradient = cost[i] + g[i] + pull[i] + z[i]
        if not np.isfinite(gradient):  # a maximum would let NaN slip through
            return np.inf, np.inf, np.inf, np.inf
        stationarity = max(stationarity, abs(gradient))
    primal, dual, gap = _limits(rows, y / scale, l, u)
    primal_x, dual_x, gap_x = _limits(x, z / scale, lb, ub)
    return stationarity / scale, max(primal, primal_x), max(dual, dual_x), max(gap, gap_x)


@njit(cache=True, nogil=True)
def _limits(
    value: np.ndarray, multiplier: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[float, float, float]:
    primal, dual, gap = 0.0, 0.0, 0.0
    for i in range(len(value)):
        if not (np.isfinite(value[i]) and np.isfinite(multiplier[i])):
            return np.inf, np.inf, np.inf
        if np.isfinite(high[i]):
            primal = max(primal, (value[i] - high[i]) / max(1.0, abs(high[i])))
        if np.isfinite(low[i]):
            primal = max(primal, (low[i] - value[i]) / max(1.0, abs(low[i])))
        limit = high[i] if multiplier[i] > 0 else low[i]
        size = abs(multiplier[i])
        if np.isfinite(limit):
            gap = max(gap, min(size, abs(limit - value[i]) / max(1.0, abs(limit))))
        else:
            dual = max(dual, size)
    return primal, dual, gap
