"""Models of stable-baselines3 by name: what they bring to a comparison, a game, an evaluation."""

from dataclasses import replace

import pytest

pytest.importorskip("stable_baselines3")

from simrl.cli.players import short_name, stage_for
from simrl.compare.grid_file import find_grids
from simrl.core.checks import check_policy
from simrl.core.plugins import make_env
from simrl.runs.controllers import entrants, make_member
from simrl.runs.off_policy import PRESETS, train
from simrl.runs.policies import named_policy


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Return the file of a driver that has all but learned nothing."""
    path = tmp_path_factory.mktemp("models") / "car.zip"
    config = replace(PRESETS["car-lane-camera"](), steps=60, learning_starts=40, check_steps=0)
    train(replace(config, num_envs=4, batch_size=8), path)
    return path


def test_a_file_brings_its_interface_to_a_comparison(file):
    grids = find_grids("car-lane", "nominal")
    ours, other = entrants([f"ddpg:{file}", "driver"], grids, {})
    assert ours.options == {"control": "setpoints", "observations": "camera"}
    assert ours.learned and ours.label == "ddpg:car" and ours.facts["agent_steps"] == [60]
    assert other.options == {} and not other.learned
    env = make_env("car-lane", 2, **ours.options)
    check_policy(make_member(ours.members[0], env.spec, ours.options), env, num_steps=3)
    with pytest.raises(ValueError, match="observation_space is Dict"):
        make_member(ours.members[0], make_env("car-lane", 1).spec, {})


def test_weights_are_told_apart(file, tmp_path):
    copy = tmp_path / "copy.zip"
    copy.write_bytes(file.read_bytes())
    again = tmp_path / "again.zip"
    train(replace(PRESETS["car-lane-camera"](), steps=8, check_steps=0, seed=1), again)
    grids = find_grids("car-lane", "nominal")
    (seeds,) = entrants([f"ddpg:{file}+{copy}+{again}"], grids, {})
    first, second, third = seeds.facts["weights"]
    assert first == second != third


def test_a_file_says_where_it_plays(file):
    stage = stage_for([f"ddpg:{file}"], None, ["max_steps=50"])
    assert stage.env == "car-lane" and stage.options["lap"] == 400.0
    assert stage.options["max_steps"] == 50
    assert short_name(f"ddpg:{file}") == "ddpg:car"
    env = stage.make(1)
    check_policy(named_policy(f"ddpg:{file}", env.spec, stage.options), env, num_steps=3)
    with pytest.raises(ValueError, match="is a run, so name the environment"):
        stage_for(["driver"], None, [])
