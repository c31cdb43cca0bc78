"""The studies of preference learning measure what they say, on runs of a few updates."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from simrl.runs.preference_presets import pendulum


@pytest.fixture
def studies(monkeypatch):
    """Import the studies as the benchmark does: from its own folder."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts" / "bench"))
    names = [name for name in sys.modules if name.startswith("preference_studies")]
    for name in names:
        monkeypatch.delitem(sys.modules, name)
    from preference_studies import moba, robot, runs

    return runs, robot, moba


def small():
    config = pendulum()
    loop = replace(config.train.loop, steps=6144)
    queries = replace(config.queries, labels=60, first=20)
    train = replace(config.train, num_envs=16, loop=loop)
    return replace(config, train=train, queries=queries, fit=replace(config.fit, epochs=2))


def test_both_rewards_are_measured_by_the_true_one(studies):
    runs, *_ = studies
    learned, true = runs.learned(small(), 3, points=3), runs.true(small(), 3, points=3)
    for outcome in (learned, true):
        assert outcome.seed == 3 and outcome.seconds > 0
        # Six updates of 1,024 steps: a point after every 2,048.
        assert [steps for steps, _ in outcome.curve] == [2048, 4096, 6144]
        # An episode of 200 steps costs at most pi^2 + 0.1 * 8^2 + 0.001 * 2^2 a step.
        assert all(-3255 < value < 0 for _, value in outcome.curve)
        assert -3255 < outcome.final < 0
    assert learned.figures["prefs/asked"] == 60 and not true.figures
    again = runs.true(small(), 3, points=3)
    assert again.curve == true.curve and again.final == true.final


def test_few_labels_are_fifty_in_small_rounds(studies):
    _, robot, _ = studies
    queries = robot.few_labels().queries
    assert (queries.labels, queries.first, queries.per_round) == (50, 10, 10)


@pytest.mark.slow
def test_styles_are_taught_from_a_base_and_measured_in_games(studies, tmp_path):
    _, _, moba = studies
    base = moba.train_base(tmp_path / "base", 0, steps=8192)
    config = moba.style_config("farming", base, 0, steps=8192)
    assert config.terms == {"last_hit": 1.0} and config.relabel.mode == "add"
    for style in (None, "farming"):
        outcome = moba.taught(style, base, 0, steps=8192, games=4)
        assert outcome.figures["last_hits"] >= 0 and 0 < outcome.figures["minutes"] <= 15.1
        assert outcome.figures["win_rate"] in (0, 0.25, 0.5, 0.75, 1)
