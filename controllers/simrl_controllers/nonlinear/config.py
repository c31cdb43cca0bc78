"""Options of nonlinear MPC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Solver = Literal["rti", "ipopt", "fatrop"]
Terminal = Literal["weights", "riccati"]


@dataclass(frozen=True)
class NmpcConfig:
    """Set up nonlinear MPC; what is None takes the value that suits the system."""

    solver: Solver = "rti"
    """Real-time iteration, or a full solve of every problem by ipopt or fatrop."""
    horizon: int | None = None
    """Stages of the plan."""
    dt: float | None = None
    """Length of a stage [s]; may differ from the environment's step."""
    period: float | None = None
    """Time between two plans [s]; the environment's step, if the policy acts in every one."""
    substeps: int | None = None
    """Runge-Kutta steps in a stage."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Weights that differ from the system's own, by name."""
    terminal: Terminal = "weights"
    """Cost of the last state: the scaled stage cost, or the Riccati cost-to-go about the goal."""
    terminal_scale: float | None = None
    """Factor on the stage cost at the last state."""
    soft_linear: float | None = None
    """Price of a violated state constraint."""
    soft_quadratic: float | None = None
    """Price of a squared violation."""
    iterations: int = 1
    """SQP iterations of the real-time iteration in every step."""
    first_iterations: int = 50
    """SQP iterations when there is no plan yet; fewer if they converge."""
    line_search: bool = False
    """Whether iterations from a shifted plan are globalised too; those of the first plan are."""
    levenberg: float = 1e-6
    """Added to the diagonal of every Hessian."""
    tolerance: float = 1e-6
    """Iterations end at a step smaller than this."""
    max_gap: float = 1.0
    """A plan whose dynamics are further off than this is refused."""
    deadline_ms: float = 0.0
    """Time for one row's plan [ms]; one that comes later is replaced by the last one, shifted.
    0 sets no deadline, and only then are runs reproducible."""
    max_iterations: int = 300
    """Iterations of ipopt and fatrop."""

    def __post_init__(self) -> None:
        for name, valid in (
            ("solver", ("rti", "ipopt", "fatrop")),
            ("terminal", ("weights", "riccati")),
        ):
            if getattr(self, name) not in valid:
                raise ValueError(
                    f"nmpc: {name} {getattr(self, name)!r} is unknown; "
                    f"the choices are {', '.join(valid)}"
                )
        for name in ("horizon", "substeps", "iterations", "first_iterations", "max_iterations"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"nmpc: {name} must be at least 1, got {value}")
        for name in ("dt", "period", "tolerance", "max_gap"):
            value = getattr(self, name)
            if value is not None and not (value > 0.0 and np.isfinite(value)):
                raise ValueError(f"nmpc: {name} must be positive, got {value}")
        for name in (
            "levenberg",
            "deadline_ms",
            "terminal_scale",
            "soft_linear",
            "soft_quadratic",
        ):
            value = getattr(self, name)
            if value is not None and not (value >= 0.0 and np.isfinite(value)):
                raise ValueError(f"nmpc: {name} must be 0 or more, got {value}")
