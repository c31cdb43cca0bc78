"""Options of the distributed platoon controller."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlatoonMpcConfig:
    """Set horizon, weights, safety and how delays are treated."""

    horizon: int = 20
    """Commands that are planned, one for each step."""
    compensate: bool = True
    """Predict through the actuation delay and align the received plan by its age; off, both delays
    are ignored."""
    spacing_weight: float = 1.0
    """Cost of the squared spacing error [1/m^2]."""
    rate_weight: float = 0.0
    """Cost of the squared rate of the spacing error [s^2/m^2]."""
    change_weight: float = 30.0
    """Cost of the squared change of the command between steps [s^4/m^2]."""
    min_gap: float = 1.0
    """Gap that is kept even if the predecessor does its worst [m]."""
    slack_weight: float = 1e3
    """Cost of each metre that the gap falls short, and of its square."""
    solver: str = "daqp"
    """Solver of the quadratic programs: one of `simrl_controllers.qp.SOLVERS`."""

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ValueError(f"platoon-mpc: horizon must be at least 1, got {self.horizon}")
        for name in ("spacing_weight", "change_weight", "slack_weight"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"platoon-mpc: {name} must be positive, got {getattr(self, name)}")
        for name in ("rate_weight", "min_gap"):
            if not getattr(self, name) >= 0.0:
                raise ValueError(
                    f"platoon-mpc: {name} must be 0 or more, got {getattr(self, name)}"
                )
