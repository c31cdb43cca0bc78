"""Scenarios: what every controller of a comparison is put through, the same list for all.

A scenario is a task with options, a start and a place in a grid.  Grids are data (see
`simrl.compare.grid_file`); this module knows what they unfold to.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simrl.core.seeding import child_seed

COMMAND = "command."
"""What the name of an axis begins with that sets a number of the task's command."""


@dataclass(frozen=True)
class Scenario:
    """Hold one episode's circumstances."""

    name: str
    """Unique in its set: "push/push=20,push_angle=0/1"."""
    grid: str
    """The grid that it belongs to."""
    point: Mapping[str, Any]
    """Where in the grid: the value on each axis."""
    options: Mapping[str, Any]
    """Options of the environment that differ from their defaults."""
    command: Mapping[str, float]
    """Numbers of the task's command that are set when the episode starts, by name."""
    seed: int
    """Makes the start, the noise and all else that the environment draws."""
    out_of_distribution: bool = False
    """Whether it lies beyond what controllers were tuned or trained for."""


@dataclass(frozen=True)
class Grid:
    """Hold a product of axes."""

    name: str
    axes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Values on each axis: an option of the environment, or "command.NAME"."""
    beyond: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Further values of axes that are out of distribution."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of all its scenarios."""
    seeds: int = 1
    """Starts at each point."""
    out_of_distribution: bool = False
    """Whether all of it is out of distribution."""


def unfold(grid: Grid, options: Mapping[str, Any], seed: int) -> list[Scenario]:
    """Return the scenarios of a grid, in the order of its axes and values.

    Each has a seed of its own, derived from `seed` and its name, so a grid may grow without moving
    the others.
    """
    values = {
        axis: (*((value, False) for value in given), *((v, True) for v in _beyond(grid, axis)))
        for axis, given in grid.axes.items()
    }
    found = []
    for chosen in itertools.product(*values.values()):
        point = {axis: value for axis, (value, _) in zip(values, chosen, strict=True)}
        beyond = grid.out_of_distribution or any(far for _, far in chosen)
        where = ",".join(f"{axis}={_text(value)}" for axis, value in point.items()) or "all"
        set_options = {**options, **grid.options}
        set_options |= {a: v for a, v in point.items() if not a.startswith(COMMAND)}
        command = {
            axis.removeprefix(COMMAND): float(value)
            for axis, value in point.items()
            if axis.startswith(COMMAND)
        }
        command |= {
            name.removeprefix(COMMAND): float(set_options.pop(name))
            for name in [key for key in set_options if key.startswith(COMMAND)]
            if name not in point
        }
        for start in range(grid.seeds):
            name = f"{grid.name}/{where}/{start}"
            scenario_seed = child_seed(seed, f"scenario/{name}")
            found.append(
                Scenario(name, grid.name, point, set_options, command, scenario_seed, beyond)
            )
    return found


def batches(
    scenarios: Sequence[Scenario], row_options: Sequence[str], most_rows: int
) -> list[list[int]]:
    """Return the numbers of the scenarios that are stepped side by side, batch by batch.

    Those whose options differ in `row_options` alone share a batch, up to `most_rows` of them.
    """
    groups: dict[str, list[int]] = {}
    for number, scenario in enumerate(scenarios):
        shared = {k: v for k, v in sorted(scenario.options.items()) if k not in row_options}
        groups.setdefault(repr(shared), []).append(number)
    found = []
    for members in groups.values():
        count = -(-len(members) // most_rows)
        size = -(-len(members) // count)
        found += [members[begin : begin + size] for begin in range(0, len(members), size)]
    return found


def _beyond(grid: Grid, axis: str) -> tuple[Any, ...]:
    return grid.beyond.get(axis, ())


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        if len(value) == 2 and value[0] == value[1]:  # a range that is one number
            return _text(value[0])
        return "-".join(_text(item) for item in value)
    return str(value)
