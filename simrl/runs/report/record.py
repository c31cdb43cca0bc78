"""Read what a run left in its folder, as far as it is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from simrl.learn.checkpoint import Checkpoints
from simrl.learn.metrics import read_metrics
from simrl.runs.config import TrainConfig, run_config
from simrl.runs.evaluation import read_evaluations
from simrl.runs.machine import load_machine, machine, versions
from simrl.selfplay.payoff import Payoff
from simrl.selfplay.rating import Rating, SkillRatings


@dataclass(frozen=True)
class RunRecord:
    """Hold what a report tells about a run."""

    folder: Path
    """The run's folder."""
    config: TrainConfig
    """What was asked for."""
    metrics: list[dict[str, Any]] = field(default_factory=list)
    """One line of figures for each update, oldest first."""
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    """One line for each evaluation, oldest first."""
    payoff: Payoff | None = None
    """Who beat whom in training; None without a league."""
    skill: Mapping[str, Rating] = field(default_factory=dict)
    """The league's openskill ratings."""
    replays: tuple[Path, ...] = ()
    """Recorded games, oldest first."""
    machine: Mapping[str, Any] = field(default_factory=dict)
    """Where the run was made."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """What computed it."""
    machine_known: bool = True
    """Whether the run wrote down its machine; else the one of the report stands in."""
    problems: tuple[str, ...] = ()
    """What could not be read."""

    def column(self, key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return agent-steps, minutes and values `[U]` of a metric, where it was logged."""
        lines = [line for line in self.metrics if key in line]
        return (
            np.array([line["step"] for line in lines], float),
            np.array([line.get("time/minutes", np.nan) for line in lines], float),
            np.array([line[key] for line in lines], float),
        )

    def keys(self, prefix: str) -> list[str]:
        """List the metrics that start with `prefix`, in the order of first use."""
        names = dict.fromkeys(key for line in self.metrics for key in line)
        return [name for name in names if name.startswith(prefix)]

    def last(self, key: str) -> float | None:
        """Return the newest value of a metric; None if it was never logged."""
        return next((float(m[key]) for m in reversed(self.metrics) if key in m), None)

    def mean(self, key: str) -> float | None:
        """Return the mean of a metric over all updates; None if it was never logged."""
        values = self.column(key)[2]
        return float(values.mean()) if values.size else None


def read_run(folder: Path | str) -> RunRecord:
    """Read a run's folder.

    ValueError if it is no run, or if its config, metrics or evaluations are damaged.  A run without
    a whole checkpoint is read all the same: `problems` says so.
    """
    folder = Path(folder)
    config = run_config(folder)
    problems: list[str] = []
    payoff, skill = None, SkillRatings()
    if config.league is not None:
        try:
            _, state = Checkpoints(folder / "checkpoints").load_newest()
            league = state["parts"]["league"]
            payoff = Payoff()
            payoff.load_state_dict(league["payoff"])
            skill.load_state_dict(league["skill"])
        except (ValueError, KeyError, OSError) as error:
            problems.append(f"the league's results cannot be read: {error}")
            payoff = None
    known = load_machine(folder)
    replays = sorted(
        (folder / "replays").glob("*.jsonl"), key=lambda p: (p.stat().st_mtime, p.name)
    )
    return RunRecord(
        folder=folder,
        config=config,
        metrics=read_metrics(folder),
        evaluations=read_evaluations(folder),
        payoff=payoff,
        skill=skill.ratings(),
        replays=tuple(replays),
        machine=known["machine"] if known else machine(),
        versions=known["versions"] if known else versions(),
        machine_known=known is not None,
        problems=tuple(problems),
    )
