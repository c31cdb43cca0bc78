"""What a comparison of one task measures: the score, the limits, what counts as recovered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Judge:
    """Say how episodes of a task are judged."""

    error: str = ""
    """The signal that is the tracking error in each step; "" takes "rmse", or the distance from
    the reference where that is a place."""
    worst: float = 0.0
    """Root mean square error that scores 0; an error of 0 scores 1, and an episode that ended early
    0.  With 0 the score is success alone."""
    settle: float = 0.0
    """Seconds at the start of an episode that the tracking figures leave out."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """Largest allowed value of each watched signal, such as {"tilt": 0.6}."""
    recovered: float = 0.0
    """Error below which a pushed robot has recovered; 0 measures no recovery."""
    steady: float = 0.5
    """Seconds for which the error must stay below that."""

    def __post_init__(self) -> None:
        for name in ("worst", "settle", "recovered", "steady"):
            if not getattr(self, name) >= 0.0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
