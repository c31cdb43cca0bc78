"""Put into figures what a run asked, what its reward model learned and how its agent does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simrl.learn.metrics import read_metrics
from simrl.runs.evaluation import flat_figures, read_evaluations
from simrl.runs.preferences import preference_config

SHOWN = ("prefs/", "reward/", "rollout/return", "rollout/length")
"""Beginnings of the names of the logged figures that are worth telling."""


def preference_figures(folder: Path | str) -> dict[str, Any]:
    """Return the newest figures of a run that learns its reward, by name.

    Asked and answered questions apart, the reward model's fit, the agreement with the task's own
    reward, and the agent's evaluation on the task.  ValueError if the folder is no such run.
    """
    config = preference_config(folder)
    figures: dict[str, Any] = {
        "environment": config.train.env,
        "teacher": config.teacher,
        "questions": config.queries.labels,
    }
    newest: dict[str, float] = {}
    for record in read_metrics(folder):
        newest |= {k: v for k, v in record.items() if k.startswith(SHOWN) or k == "step"}
    figures |= newest
    evaluations = read_evaluations(folder)
    if evaluations:
        last = evaluations[-1]
        figures |= flat_figures({k: v for k, v in last.items() if k not in ("step", "minutes")})
    return figures
