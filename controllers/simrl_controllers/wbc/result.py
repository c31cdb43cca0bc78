"""What whole-body control returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class WbcResult:
    """Hold accelerations, contact forces and torques of n rows."""

    acceleration: Array
    """Accelerations of the joints, floating base included `[n, nv]`."""
    force: Array
    """Forces of the ground on the contacts, world frame, 0 where none stands `[n, K, 3]` [N]."""
    torque: Array
    """Torques of the driven joints `[n, nu]` [N m]."""
    status: Array
    """`STATUS_CODES` of `simrl_controllers.qp` `[n]`: 0 solved.  A row that is not has zeros."""
    violation: Array
    """Largest amount by which a limit is exceeded because the limits conflict, in its own unit
    `[n]`; 0 where they do not."""
    residual: Array
    """KKT residual of each row's quadratic program, the largest of its levels `[n]`."""
    seconds: Array
    """Wall time of each row, from its matrices to its checked torques `[n]` [s]; rows that are
    solved in one compiled call share its time."""

    @classmethod
    def empty(cls, rows: int, num_dofs: int, num_contacts: int, num_motors: int) -> WbcResult:
        """Make room for n rows."""
        return cls(
            np.zeros((rows, num_dofs)),
            np.zeros((rows, num_contacts, 3)),
            np.zeros((rows, num_motors)),
            np.zeros(rows, np.int64),
            np.zeros(rows),
            np.zeros(rows),
            np.zeros(rows),
        )
