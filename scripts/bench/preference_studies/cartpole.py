"""Cart-pole by 200 oracle labels: episodes end early, where a careless reward leaks by length."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from preference_studies.runs import Outcome, learned

from simrl.runs.preference_presets import cart_pole

NOTES = {"cartpole_return": "200 oracle labels, median of the seeds; of 500; bar: at least 400"}


def study(seeds: Sequence[int]) -> tuple[dict[str, float], dict[str, list[Outcome]]]:
    """Train on the learned reward; return the figures and every run."""
    runs = [learned(cart_pole(), seed) for seed in seeds]
    finals = [run.final for run in runs]
    figures = {
        "cartpole_return": statistics.median(finals),
        "cartpole_return_worst": min(finals),
        "cartpole_train_s": max(run.seconds for run in runs),
    }
    return figures, {"learned": runs}
