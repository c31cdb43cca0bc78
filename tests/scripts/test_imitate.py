"""Imitation leaves a run: it plays nearly as the expert does, and training goes on from it."""

import json
import runpy
from pathlib import Path

import pytest
import torch

from simrl.learn.cloning import CloningConfig
from simrl.learn.dagger import DaggerConfig
from simrl.runs.policies import load_run_policy
from simrl.runs.presets import preset

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPTS / "imitate.py"))


def arguments(script, out, env, expert, **more):
    return script["Arguments"](
        env=env,
        expert=expert,
        out=out,
        num_envs=8,
        option=("seconds=1.0",),
        games=8,
        dagger=DaggerConfig(rounds=3, steps=50),
        cloning=CloningConfig(epochs=10, minibatch_size=128),
        **more,
    )


def test_the_clone_is_a_run(script, tmp_path, capsys):
    out = tmp_path / "clone"
    figures = script["main"](arguments(script, out, "cartpole-balance", "lqr"))
    assert json.loads(capsys.readouterr().out)["figures"] == figures
    assert figures["clone_return"] > 0.95 * figures["expert_return"]
    policy = load_run_policy(out)
    act = policy.act({"policy": torch.zeros(1, 5)}, {}, torch.Generator(), deterministic=True)
    assert act.action.shape == (1, 1)


def test_a_preset_gives_the_network(script, tmp_path):
    config = script["run_settings"](arguments(script, tmp_path, "quadrotor-track", "lqr"))
    assert config.net == preset("quadrotor-track").net
    assert config.env_options == {"seconds": 1.0}
