"""Off-policy learners of stable-baselines3 from the command line."""

import json
import runpy
from pathlib import Path

import pytest

pytest.importorskip("stable_baselines3")
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPTS / "train_sb3.py"))


def test_an_environment_is_trained_and_measured(script, tmp_path, capsys):
    arguments = script["Arguments"](
        task="cartpole-balance",
        learner="td3",
        steps=80,
        num_envs=4,
        option=("seconds=0.4",),
        games=4,
        out=tmp_path / "deep" / "model.zip",
    )
    figures = script["main"](arguments)
    assert json.loads(capsys.readouterr().out)["figures"] == figures
    assert arguments.out.is_file()
    assert 0.0 < figures["return"] < 20.0  # at most 1 a step, 20 steps


def test_a_preset_is_changed_by_what_is_typed(script):
    arguments = script["Arguments"](task="car-lane-camera", steps=100, option=("lap=250",), seed=3)
    config = script["resolve"](arguments)
    assert (config.env, config.learner, config.steps, config.seed) == ("car-lane", "ddpg", 100, 3)
    assert config.env_options["lap"] == 250 and config.env_options["observations"] == "camera"


def test_unknown_tasks_are_told(script):
    with pytest.raises(ValueError, match="the presets are car-lane-camera, the environments "):
        script["resolve"](script["Arguments"](task="go-kart"))
