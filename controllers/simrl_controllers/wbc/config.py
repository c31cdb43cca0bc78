"""Set how whole-body control weighs forces and slack."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

FACETS = {"pyramid": 4, "cone": 8}
"""Number of planes that stand for a friction cone."""


@dataclass(frozen=True)
class WbcConfig:
    """Set the limits that contacts share, and the solver's accuracy.

    Costs are 1/2 the sum of each weight times its squared error.
    """

    cone: Literal["pyramid", "cone"] = "pyramid"
    """"pyramid": four planes around the friction cone (a diagonal force may exceed it by 41 %);
    "cone": eight planes inside it (never exceeds it, gives away at most 7.6 %)."""
    acceleration_weight: float = 1e-4
    """Weight of accelerations that no task asks for [s^4/rad^2 or s^4/m^2]."""
    force_weight: float = 1e-6
    """Least weight of forces, about their target [1/N^2]."""
    slack_weight: float = 1e5
    """Weight of exceeded limits where they conflict, in the units of each limit."""
    tolerance: float = 1e-6
    """KKT residual above which a solution counts as failed."""
    rank_tolerance: float = 1e-6
    """Share of a level's largest line below which what the levels above left of it counts as
    nothing, in the strict hierarchy."""

    def __post_init__(self) -> None:
        if self.cone not in FACETS:
            raise ValueError(f"unknown cone {self.cone!r}; the cones are {', '.join(FACETS)}")
        for name in (
            "acceleration_weight",
            "force_weight",
            "slack_weight",
            "tolerance",
            "rank_tolerance",
        ):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")
