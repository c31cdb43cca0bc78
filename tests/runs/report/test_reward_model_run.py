"""The reward model of a real run, measured by fresh play or by held-out answers."""

import dataclasses

import pytest
import torch
import yaml

from simrl.preferences.collect_loop import QueryConfig
from simrl.preferences.reward_model import RewardModelConfig
from simrl.runs.preference_presets import preset
from simrl.runs.preferences import start_preferences
from simrl.runs.report.reward_model import reward_model_report
from simrl.runs.report.reward_model_run import (
    RewardReportConfig,
    measure_run,
    write_reward_model_report,
)

QUICK = RewardReportConfig(pairs=60, num_envs=16, states=40, actions=3)


def make_run(folder, **queries):
    """Train on the pendulum for 4,000 steps with 60 answers of the oracle."""
    config = preset("pendulum")
    train = dataclasses.replace(
        config.train, loop=dataclasses.replace(config.train.loop, steps=4000)
    )
    config = dataclasses.replace(
        config,
        train=train,
        model=RewardModelConfig(members=2, hidden=(32, 32)),
        fit=dataclasses.replace(config.fit, epochs=20),
        queries=QueryConfig(labels=60, first=20, per_round=20, segment=25, **queries),
    )
    built = start_preferences(config, folder)
    built.run.loop.run()
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    return make_run(tmp_path_factory.mktemp("runs") / "swing", held_out=0.4)


def test_a_scripted_run_is_judged_by_fresh_play(folder):
    record = measure_run(folder, QUICK)
    assert set(record.scores.before) == {"on policy", "off policy"}
    off = record.scores.before["off policy"]
    assert off.pairs > 30 and off.accuracy > 0.7  # the oracle's answers taught it something
    assert set(record.distances) == {"EPIC", "DARD"} and record.distances["EPIC"] < 0.5
    true, learned = record.returns
    assert len(true) == len(learned) > 200 and (true <= 0).all()
    assert record.labels["asked"] == record.labels["answered"] == 60
    assert record.labels["learned from"] == 60
    pairs = [line["reward/pairs"] for line in record.history]
    assert len(pairs) >= 2 and pairs == sorted(set(pairs))


def test_the_same_seed_measures_the_same(folder):
    quick = dataclasses.replace(QUICK, pairs=20, states=10)
    assert reward_model_report(measure_run(folder, quick)) == reward_model_report(
        measure_run(folder, quick)
    )


def test_a_run_that_people_teach_is_judged_by_their_held_out_answers(folder):
    path = folder / "preferences.yaml"
    text = path.read_text()
    path.write_text(yaml.safe_dump({**yaml.safe_load(text), "teacher": "human"}))
    try:
        record = measure_run(folder, QUICK)
    finally:
        path.write_text(text)
    assert set(record.scores.before) == {"newer answers", "older answers"}
    assert record.distances == {} and record.returns is None
    people = record.agreement["held-out answers"]
    assert 0 < people["pairs"] < 60 and 0.4 < people["share"] <= 1.0
    assert any("no true reward" in text for text in record.reservations)


def test_the_page_is_written_beside_the_run(folder, tmp_path):
    quick = dataclasses.replace(QUICK, pairs=20, states=10)
    path = write_reward_model_report(folder, config=quick)
    assert path == folder / "reward_model.html"
    assert "pendulum: the reward of swing" in path.read_text(encoding="utf-8")
    assert write_reward_model_report(folder, tmp_path / "x.html", quick) == tmp_path / "x.html"


def test_a_run_without_a_learned_reward_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="is not a run"):
        measure_run(tmp_path)
    with pytest.raises(ValueError, match="pairs must be at least 2, got 1"):
        RewardReportConfig(pairs=1)
