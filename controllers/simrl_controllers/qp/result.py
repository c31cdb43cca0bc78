"""What a solved, or not solved, quadratic program returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

QPStatus = Literal["solved", "inaccurate", "infeasible", "unbounded", "max_iter", "failed"]
"""How a solve ended.  "inaccurate": the solver claims success, the optimality conditions do not."""

STATUS_CODES: dict[QPStatus, int] = {
    "solved": 0,
    "inaccurate": 1,
    "infeasible": 2,
    "unbounded": 3,
    "max_iter": 4,
    "failed": 5,
}
"""A number for each status, for tensors of `PolicyOutput.extras`; 0 is the only success."""


@dataclass(frozen=True)
class QPResult:
    """Hold the solution of one quadratic program with n variables and m rows."""

    x: np.ndarray
    """Solution `[n]`; the last iterate, or zeros, if the status is not "solved"."""
    duals: np.ndarray
    """Multipliers `[m + n]`, of the rows of A and then of the bounds on x: H x + g + A' y + z = 0,
    positive where the upper limit holds x back, negative where the lower one does."""
    status: QPStatus
    """How the solve ended."""
    kkt_residual: float
    """Largest violation of the optimality conditions, scaled; infinite if there is no solution."""
    iterations: int
    """Iterations of the solver."""
    solve_time: float
    """Wall time of the whole call, checks included [s]."""

    @property
    def success(self) -> bool:
        """Whether `x` solves the problem."""
        return self.status == "solved"

    @property
    def code(self) -> int:
        """Number of the status in `STATUS_CODES`."""
        return STATUS_CODES[self.status]

    @property
    def row_duals(self) -> np.ndarray:
        """Multipliers of the rows of A `[m]`."""
        return self.duals[: len(self.duals) - len(self.x)]

    @property
    def bound_duals(self) -> np.ndarray:
        """Multipliers of the bounds on x `[n]`."""
        return self.duals[len(self.duals) - len(self.x) :]
