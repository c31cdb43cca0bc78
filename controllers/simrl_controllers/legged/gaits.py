"""Name the gaits: when each foot stands and when it swings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gait:
    """Say how the four legs take turns.

    A clock counts cycles; leg j stands while the fraction of (clock + offset j) is below `duty`,
    and swings for the rest of the cycle.
    """

    period: float
    """Length of a cycle [s], for a robot as tall as a Go2 (0.29 m); others take longer or shorter
    by the square root of their height, as pendulums do."""
    duty: float
    """Share of the cycle in which a foot stands; 1 never lifts it."""
    offsets: tuple[float, float, float, float]
    """Lead of each leg, in cycles: front left, front right, rear left, rear right."""

    def __post_init__(self) -> None:
        if not self.period > 0.0:
            raise ValueError(f"a gait's period must be above 0, got {self.period}")
        if not 0.0 < self.duty <= 1.0:
            raise ValueError(f"a gait's duty must be in (0, 1], got {self.duty}")
        if len(self.offsets) != 4:
            raise ValueError(f"a gait needs an offset for each of 4 legs, got {self.offsets}")


GAITS: dict[str, Gait] = {
    "stand": Gait(0.36, 1.0, (0.0, 0.0, 0.0, 0.0)),
    "walk": Gait(0.60, 0.76, (0.25, 0.75, 0.0, 0.5)),
    "trot": Gait(0.33, 0.5, (0.0, 0.5, 0.5, 0.0)),
    "pace": Gait(0.32, 0.55, (0.0, 0.5, 0.0, 0.5)),
    "bound": Gait(0.24, 0.6, (0.0, 0.0, 0.5, 0.5)),
    "gallop": Gait(0.32, 0.5, (0.0, 0.15, 0.5, 0.65)),
    "pronk": Gait(0.36, 0.7, (0.0, 0.0, 0.0, 0.0)),
}
"""The gaits by name."""


def find_gait(name: str) -> Gait:
    """Return a gait by its name; ValueError lists the names."""
    if name not in GAITS:
        raise ValueError(f"unknown gait {name!r}; the gaits are {', '.join(GAITS)}")
    return GAITS[name]
