"""Set what the single-rigid-body MPC wants, and which forces it may use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from simrl_controllers.qp import SOLVERS

Weights = tuple[float, float, float]

FACETS = {"pyramid": 4, "cone": 8}
"""Number of planes that stand for the friction cone."""


@dataclass(frozen=True)
class SrbdConfig:
    """Set horizon, weights, force limits and solver of `SrbdMpc`.

    The cost of a plan is 1/2 the sum over the steps of each weight times its squared error.
    """

    horizon: int = 10
    """Number of steps N."""
    dt: float = 0.03
    """Duration of a step [s]."""
    rpy_weight: Weights = (50.0, 50.0, 20.0)
    """Weight of roll, pitch and yaw errors [1/rad^2]."""
    position_weight: Weights = (5.0, 5.0, 100.0)
    """Weight of the errors of the centre of mass in world x, y, z [1/m^2]."""
    omega_weight: Weights = (0.5, 0.5, 0.5)
    """Weight of the errors of the world angular velocity [s^2/rad^2]."""
    velocity_weight: Weights = (4.0, 4.0, 2.0)
    """Weight of the errors of the centre of mass's velocity [s^2/m^2]."""
    force_weight: float = 1e-5
    """Weight of each foot force's distance from an even share of the robot's weight [1/N^2]."""
    friction: float = 0.6
    """Friction coefficient of feet on the ground."""
    min_force: float = 2.0
    """Least normal force of a standing foot [N]."""
    max_force: float = 400.0
    """Greatest normal force of a standing foot [N]."""
    cone: Literal["pyramid", "cone"] = "pyramid"
    """"pyramid": four planes around the friction cone (a diagonal force may exceed it by 41 %);
    "cone": eight planes inside it (never exceeds it, gives away at most 7.6 %)."""
    solver: str = "daqp"
    """QP solver: daqp, whose matrices are factored in compiled code, or any of
    `simrl_controllers.qp`, for comparison."""
    tolerance: float = 1e-6
    """KKT residual above which a solution counts as failed."""

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ValueError(f"horizon must be at least 1, got {self.horizon}")
        for name in ("dt", "force_weight", "friction", "max_force", "tolerance"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")
        for name in ("rpy_weight", "position_weight", "omega_weight", "velocity_weight"):
            value = getattr(self, name)
            if len(value) != 3 or not all(0.0 <= part < math.inf for part in value):
                raise ValueError(f"{name} must be 3 numbers of at least 0, got {value}")
        if not 0.0 <= self.min_force <= self.max_force:
            raise ValueError(
                f"min_force must be within 0 and max_force = {self.max_force}, got {self.min_force}"
            )
        if self.cone not in FACETS:
            raise ValueError(f"unknown cone {self.cone!r}; the cones are {', '.join(FACETS)}")
        if self.solver not in SOLVERS:
            raise ValueError(
                f"unknown solver {self.solver!r}; the solvers are {', '.join(SOLVERS)}"
            )
