"""Every episode of a comparison, as columns: who, in what circumstances, with which figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simrl.compare.plan import Job, Plan
from simrl.compare.scenarios import Scenario

TIMED = ("act_p50_ms", "act_p99_ms", "act_max_ms", "deadline_misses")
"""Columns that depend on the machine and its load."""


@dataclass(frozen=True)
class Table:
    """Hold all episodes of a comparison: C controllers with K training seeds each, M scenarios.

    Attributes:
        plan: What was compared.
        scenarios: The list that every controller was put through `[M]`.
        figures: By controller, each figure `[K, M]`; NaN where an episode has none.
        traces: By controller, the course of each episode of its first member `[M, ...]`.
        act_seconds: By controller, how long decisions took [s].
        deadlines: By controller, the length of its step [s].
        load: How many programs wanted a core while decisions were timed, at most; NaN if unknown.
    """

    plan: Plan
    scenarios: Sequence[Scenario]
    figures: Sequence[Mapping[str, np.ndarray]]
    traces: Sequence[Mapping[str, np.ndarray]]
    act_seconds: Sequence[np.ndarray]
    deadlines: Sequence[float]
    load: float

    @classmethod
    def assemble(
        cls,
        plan: Plan,
        scenarios: Sequence[Scenario],
        shards: Sequence[tuple[Job, Sequence[int], Mapping[str, np.ndarray]]],
        act_seconds: Sequence[np.ndarray],
        deadlines: Sequence[float],
        load: float,
    ) -> Table:
        """Put the pieces of a comparison together."""
        count = len(scenarios)
        figures: list[dict[str, np.ndarray]] = [{} for _ in plan.entrants]
        traces: list[dict[str, np.ndarray]] = [{} for _ in plan.entrants]
        for job, members, arrays in shards:
            seeds = len(plan.entrants[job.entrant].members)
            for name, values in arrays.items():
                kind, _, key = name.partition("/")
                if kind == "figure":
                    empty = np.full((seeds, count), np.nan)
                    figures[job.entrant].setdefault(key, empty)[job.member, members] = values
                elif kind == "trace" and job.member == 0:
                    empty = np.full((count, *values.shape[1:]), np.nan, np.float32)
                    traces[job.entrant].setdefault(key, empty)[members] = values
        return cls(plan, scenarios, figures, traces, act_seconds, deadlines, load)

    @property
    def labels(self) -> list[str]:
        """Names of the controllers."""
        return [entrant.label for entrant in self.plan.entrants]

    @property
    def grids(self) -> np.ndarray:
        """Name of each scenario's grid `[M]`."""
        return np.array([scenario.grid for scenario in self.scenarios])

    def members(self, grid: str) -> list[int]:
        """Return the numbers of the scenarios of a grid."""
        return [number for number, s in enumerate(self.scenarios) if s.grid == grid]

    @property
    def far(self) -> np.ndarray:
        """Which scenarios are out of distribution `[M]` bool."""
        return np.array([scenario.out_of_distribution for scenario in self.scenarios])

    @property
    def strata(self) -> np.ndarray:
        """Number of each scenario's grid `[M]`."""
        return np.unique(self.grids, return_inverse=True)[1]

    def figure(self, controller: int, name: str, which: np.ndarray | None = None) -> np.ndarray:
        """Return a figure of a controller `[K, M']` in the scenarios `which` `[M]` bool.

        ValueError lists the valid names.
        """
        known = self.figures[controller]
        if name not in known:
            raise ValueError(f"unknown figure {name!r}; the figures are {', '.join(known)}")
        return known[name] if which is None else known[name][:, which]

    def has(self, name: str) -> bool:
        """Tell whether any controller has a figure."""
        return any(name in figures for figures in self.figures)

    def names(self) -> list[str]:
        """List the figures that any controller has, in their order."""
        return list(dict.fromkeys(name for figures in self.figures for name in figures))

    def columns(self) -> dict[str, list[Any]]:
        """Return one column by name for a file: an entry for every episode; None where absent."""
        found: dict[str, list[Any]] = {}
        axes = list(dict.fromkeys(axis for s in self.scenarios for axis in s.point))
        for number, entrant in enumerate(self.plan.entrants):
            for member, name in enumerate(entrant.members):
                for index, scenario in enumerate(self.scenarios):
                    row: dict[str, Any] = {
                        "controller": entrant.label,
                        "training_seed": member,
                        "policy": name,
                        "scenario": scenario.name,
                        "grid": scenario.grid,
                        "out_of_distribution": scenario.out_of_distribution,
                        "seed": scenario.seed,
                        **{f"axis/{axis}": _axis(scenario.point.get(axis)) for axis in axes},
                    }
                    for figure in self.names():
                        values = self.figures[number].get(figure)
                        value = float("nan") if values is None else float(values[member, index])
                        row[figure] = None if np.isnan(value) else value
                    for key, value in row.items():
                        found.setdefault(key, []).append(value)
        return found


def _axis(value: Any) -> str | None:
    """Write a grid's value as text: one axis may hold numbers, ranges or words."""
    if value is None:
        return None
    if isinstance(value, (tuple, list)):
        return f"{value[0]:g}" if len(set(value)) == 1 else " to ".join(f"{v:g}" for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
