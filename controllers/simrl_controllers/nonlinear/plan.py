"""What every solver takes and gives: one row's problem and the plan that answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass
class Plan:
    """Hold states and inputs over the horizon, and how they were found."""

    x: np.ndarray
    """States `[N + 1, nx]`."""
    u: np.ndarray
    """Inputs `[N, nu]`."""
    ok: bool = True
    """Whether the plan may be used."""
    cost: float = 0.0
    """Cost of the plan, prices of violations included."""
    kkt: float = 0.0
    """How far the optimality conditions are from holding, largest entry."""
    iterations: int = 0
    """Iterations made."""
    solve_seconds: float = 0.0
    """Wall time inside the solver [s]."""


@dataclass(frozen=True)
class Beyond:
    """Hold a quadratic cost of the last state about a point, from a terminal value."""

    point: np.ndarray
    """State `[nx]`."""
    gradient: np.ndarray
    """Gradient there `[nx]`."""
    hessian: np.ndarray
    """Hessian `[nx, nx]`, positive semidefinite."""


class Solver(Protocol):
    """Improve plans; keeps nothing between calls that would change an answer."""

    def solve(
        self,
        first: np.ndarray,
        plan: Plan,
        parameters: np.ndarray,
        *,
        fresh: bool,
        beyond: Beyond | None = None,
        seconds: float = 0.0,
    ) -> Plan:
        """Plan from the state `first` `[nx]`, beginning with `plan` (not changed).

        parameters: `[N + 1, np]`.  `fresh` says that `plan` is a guess and not a shifted plan.
        `seconds` bounds the time where it is not 0.
        """
        ...
