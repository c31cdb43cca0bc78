"""What a comparison consists of: who, what, and in which pieces of work; saved beside its results.

The pieces are fixed by the plan alone, so a comparison that was killed goes on where it stopped and
ends with the same table, bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from simrl.compare.grid_file import GridFile
from simrl.compare.judge import Judge
from simrl.compare.play import Stage
from simrl.compare.scenarios import Scenario, batches
from simrl.core.files import write_atomic
from simrl.core.plugins import env_plugin

PLAN_FILE = "plan.json"
DRAWS = 2000
"""Draws of the bootstrap."""


@dataclass(frozen=True)
class Entrant:
    """Hold one controller of a comparison."""

    label: str
    """What it is called in tables."""
    members: tuple[str, ...]
    """Name of its policy for each training seed; one alone where nothing was trained."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the environment that it chose: its interface."""
    learned: bool = False
    """Whether it was trained, so that training seeds are a level of their own."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of it: fingerprints of its weights, how long it was trained."""


@dataclass(frozen=True)
class Job:
    """Name one piece of work: a member of a controller in a batch of scenarios."""

    entrant: int
    member: int
    batch: int

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"{self.entrant:02d}-{self.member:02d}-{self.batch:03d}.npz"


@dataclass(frozen=True)
class Plan:
    """Hold all that defines a comparison."""

    grids: GridFile
    entrants: tuple[Entrant, ...]
    seed: int = 0
    real_time: bool = False
    rows: int = 100
    """Most scenarios that are played side by side."""
    num_draws: int = DRAWS
    """Draws of the bootstrap."""

    def __post_init__(self) -> None:
        if not self.entrants:
            raise ValueError("a comparison needs at least one controller")
        labels = [entrant.label for entrant in self.entrants]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two controllers are called {label!r}; name them LABEL=NAME")
        if self.rows < 1:
            raise ValueError(f"rows must be at least 1, got {self.rows}")
        for entrant in self.entrants:
            for option in entrant.options:
                if option not in self.grids.interface:
                    valid = ", ".join(self.grids.interface) or "none"
                    raise ValueError(
                        f"{entrant.label}: the option {option!r} is the scenarios' to set; "
                        f"controllers choose {valid}"
                    )

    @property
    def task(self) -> str:
        """Registered name of the environment."""
        return self.grids.task

    @property
    def judge(self) -> Judge:
        """How episodes are judged."""
        return self.grids.judge

    def scenarios(self) -> list[Scenario]:
        """Return the list that every controller is put through."""
        return self.grids.scenarios(self.seed)

    def batches(self, scenarios: Sequence[Scenario]) -> list[list[int]]:
        """Return the numbers of the scenarios that are played side by side, batch by batch."""
        plugin = env_plugin(self.task)
        row_options = plugin.row_options if plugin.make_rows is not None else ()
        return batches(scenarios, row_options, self.rows)

    def jobs(self, num_batches: int) -> list[Job]:
        """Return all pieces of work, all controllers of one batch after the other."""
        return [
            Job(number, member, batch)
            for batch in range(num_batches)
            for number, entrant in enumerate(self.entrants)
            for member in range(len(entrant.members))
        ]

    def stage(self, entrant: int, threads: int = 1) -> Stage:
        """Return where a controller plays."""
        return Stage(self.task, self.entrants[entrant].options, self.real_time, threads)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan in plain lists, names and numbers."""
        plan = {
            "task": self.task,
            "controllers": [asdict(entrant) for entrant in self.entrants],
            "options": dict(self.grids.options),
            "interface": list(self.grids.interface),
            "judge": asdict(self.judge),
            "grids": [asdict(grid) for grid in self.grids.grids],
            "seed": self.seed,
            "real_time": self.real_time,
            "rows": self.rows,
            "num_draws": self.num_draws,
        }
        plain: dict[str, Any] = json.loads(json.dumps(plan))
        return plain


def claim_folder(plan: Plan, folder: Path) -> None:
    """Write the plan into a new folder, or check that the folder holds this very comparison.

    ValueError says what differs.
    """
    path, wanted = folder / PLAN_FILE, plan.to_dict()
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is damaged; remove {folder} to begin anew") from error
        differs = [key for key in wanted if found.get(key) != wanted[key]]
        if differs:
            raise ValueError(
                f"{folder} holds another comparison: {', '.join(differs)} differ; "
                "choose another folder"
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is no comparison and not empty; choose another folder")
    write_atomic(path, json.dumps(wanted, indent=1) + "\n")
