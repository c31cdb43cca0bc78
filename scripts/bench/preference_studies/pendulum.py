"""Pendulum by 400 oracle labels in 100k steps; the `imitation` package reached -446 in one seed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from preference_studies.runs import Outcome, learned, true

from simrl.runs.preference_presets import pendulum

NOTES = {
    "pendulum_return_median": "400 oracle labels, 100k steps; bar: at least -250",
    "pendulum_train_s": "processor time of the slowest seed, one thread; bar: at most 60 s",
    "pendulum_true_return": "the same learner on the true reward, median",
}


def study(seeds: Sequence[int]) -> tuple[dict[str, float], dict[str, list[Outcome]]]:
    """Train on both rewards; return the figures and every run."""
    runs = {
        "learned": [learned(pendulum(), seed) for seed in seeds],
        "true": [true(pendulum(), seed) for seed in seeds],
    }
    finals = [run.final for run in runs["learned"]]
    return {
        "pendulum_return_median": statistics.median(finals),
        "pendulum_return_worst": min(finals),
        "pendulum_true_return": statistics.median(run.final for run in runs["true"]),
        "pendulum_train_s": max(run.seconds for run in runs["learned"]),
    }, runs
