"""HalfCheetah-v5 by 500 and by 50 oracle labels, as a share of the same learner's true reward."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

from preference_studies.runs import Outcome, learned, true

from simrl.runs.preference_presets import half_cheetah
from simrl.runs.preferences import PreferenceConfig

NOTES = {
    "robot_share_500": "HalfCheetah-v5, mean return by that on the true reward; bar: at least 0.85",
    "robot_share_50": "the same with 50 labels; REED reports 0.66 to 0.83",
    "robot_true_return": "the same learner on the true reward",
}


def study(seeds: Sequence[int]) -> tuple[dict[str, float], dict[str, list[Outcome]]]:
    """Train on the true reward and on both numbers of labels; return figures and runs."""
    runs = {
        "true": [true(half_cheetah(), seed) for seed in seeds],
        "500 labels": [learned(half_cheetah(), seed) for seed in seeds],
        "50 labels": [learned(few_labels(), seed) for seed in seeds],
    }
    mean = {name: statistics.mean(run.final for run in some) for name, some in runs.items()}
    return {
        "robot_true_return": mean["true"],
        "robot_share_500": mean["500 labels"] / mean["true"],
        "robot_share_50": mean["50 labels"] / mean["true"],
        "robot_train_s": max(run.seconds for run in runs["500 labels"]),
    }, runs


def few_labels() -> PreferenceConfig:
    """Return the preset with 50 labels in rounds of ten."""
    config = half_cheetah()
    return replace(config, queries=replace(config.queries, labels=50, first=10, per_round=10))
