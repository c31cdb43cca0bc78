"""Off-policy learners of stable-baselines3: each trains, is saved, and plays as a policy."""

import json
import runpy
from pathlib import Path

import pytest

from simrl.core.plugins import make_env

pytest.importorskip("stable_baselines3")
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPTS / "train_sb3.py"))


@pytest.mark.parametrize("learner", ["sac", "td3", "ddpg"])
def test_each_learner_leaves_a_model_that_plays(script, learner, tmp_path, capsys):
    script["COMMON"]["learning_starts"] = 40
    arguments = script["Arguments"](
        env="cartpole-balance",
        learner=learner,
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


def test_noise_is_a_share_of_the_range(script):
    env = make_env("quadrotor-hover", 2)
    arguments = script["Arguments"](env="quadrotor-hover", learner="td3")
    model = script["make_model"](arguments, script["SB3VecEnv"](env), env.spec.actions)
    assert model.action_noise._sigma.tolist() == [script["NOISE"]] * 4


def test_discrete_actions_are_refused(script):
    with pytest.raises(ValueError, match="cart-pole: sac needs continuous actions"):
        script["main"](script["Arguments"](env="cart-pole"))
