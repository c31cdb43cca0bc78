"""Imitation leaves a run: it plays nearly as the expert does, and training goes on from it."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from simrl.learn.cloning import CloningConfig
from simrl.learn.dagger import DaggerConfig
from simrl.learn.loop import LoopConfig
from simrl.learn.metrics import read_metrics
from simrl.runs.policies import load_run_policy
from simrl.runs.presets import preset
from simrl.runs.robot_scores import RECIPES, score_runs
from simrl.runs.training import start_run
from simrl.runs.weights import run_weights

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
    assert config.env_options == {"seconds": 1.0}  # what is given counts, then what the preset has
    config = script["run_settings"](arguments(script, tmp_path, "arm-reach", "osc"))
    assert config.env_options == {"control": "position", "seconds": 1.0}


def test_training_goes_on_from_a_clone_and_counts_its_minutes(script, tmp_path, capsys):
    clone, folder = tmp_path / "clone", tmp_path / "run"
    figures = script["main"](arguments(script, clone, "quadrotor-track", "lqr"))
    shares = [name for name in figures if name.endswith("success_low")]
    assert shares == ["clone_success_low", "expert_success_low"]
    assert figures["clone_success_low"] <= figures["clone_success"]
    rounds = read_metrics(clone)
    assert [line["step"] for line in rounds] == [400, 800, 1200]
    config = preset("quadrotor-track")
    run = start_run(
        replace(
            config,
            num_envs=4,
            init=str(clone),
            ppo=replace(config.ppo, minibatch_size=16),
            loop=LoopConfig(unroll=8, steps=32),
        ),
        folder,
    )
    start = {name: value.clone() for name, value in run.net.state_dict().items()}
    weights = run_weights(clone)
    assert all(torch.equal(start[name], value) for name, value in weights.items())
    run.loop.run()
    run.loop.writer.close()
    own = read_metrics(folder)[-1]["time/minutes"]
    minutes = score_runs(RECIPES["quadrotor-track"], [folder], games=2)["quadrotor_train_min"]
    assert minutes == pytest.approx(own + rounds[-1]["time/minutes"])
