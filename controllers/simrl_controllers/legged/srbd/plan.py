"""Hold what the single-rigid-body MPC reads and what it plans."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray

NOT_ASKED = -1
"""Status of a row that the call left out."""


@dataclass(frozen=True)
class SrbdState:
    """Hold where the bodies of n rows are."""

    rpy: Array
    """Roll, pitch, yaw `[n, 3]` [rad]; R = Rz Ry Rx turns the body into the world."""
    position: Array
    """Centre of mass, world frame `[n, 3]` [m]."""
    omega: Array
    """Angular velocity, world frame `[n, 3]` [rad/s]."""
    velocity: Array
    """Velocity of the centre of mass, world frame `[n, 3]` [m/s]."""


@dataclass(frozen=True)
class SrbdPlan:
    """Hold the plans of n rows; F is the number of feet, N that of steps."""

    all_forces: Array
    """Forces of the ground on the feet, world frame, 0 where a foot swings `[n, N, F, 3]` [N]."""
    states: Array
    """Predicted rpy, position, omega, velocity after each step `[n, N, 12]`."""
    status: Array
    """`STATUS_CODES` of `simrl_controllers.qp` `[n]`: 0 solved; NOT_ASKED where left out.

    A row that is neither has no plan: its forces are 0, and the caller keeps its last plan.
    """
    residual: Array
    """KKT residual of each row's quadratic program `[n]`."""
    seconds: Array
    """Wall time of each row, from its matrices to its checked forces `[n]` [s]."""

    @property
    def forces(self) -> Array:
        """Forces during the first step `[n, F, 3]` [N]."""
        return self.all_forces[:, 0]
