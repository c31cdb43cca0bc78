"""Robot presets learn one batch, and what a run is worth is measured as the docstrings say."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from simrl.core.plugins import controller_plugin, make_env
from simrl.learn.loop import LoopConfig
from simrl.rollout import evaluate
from simrl.runs import robot_scores
from simrl.runs.presets import PRESETS
from simrl.runs.robot_presets import PRESETS as ROBOTS
from simrl.runs.robot_scores import COMMANDS, RECIPES, costs, recipe_env, score_runs
from simrl.runs.training import build_run, start_run


def small(name, steps=32):
    config = ROBOTS[name]()
    return replace(
        config,
        num_envs=4,
        ppo=replace(config.ppo, minibatch_size=16, epochs=2),
        loop=LoopConfig(unroll=8, steps=steps),
    )


def finished(name, folder):
    run = start_run(small(name), folder)
    run.loop.run()
    run.loop.writer.close()
    return folder


@pytest.mark.parametrize("name", ROBOTS)
def test_every_preset_learns_a_batch(name):
    assert PRESETS[name] is ROBOTS[name]
    assert name in RECIPES, "a preset needs a recipe that says how it is measured"
    run = build_run(small(name))
    before = [parameter.clone() for parameter in run.loop.learner.net.parameters()]
    metrics = run.loop.update()
    assert all(math.isfinite(metrics[f"loss/{part}"]) for part in ("policy", "value", "entropy"))
    assert any(
        not torch.equal(old, new)
        for old, new in zip(before, run.loop.learner.net.parameters(), strict=True)
    )


def test_cost_is_what_the_reward_lacks_to_the_most():
    env = make_env("cartpole-swingup", 3, seconds=1.0)  # 50 steps that pay at most 1
    plugin = controller_plugin("nmpc")
    score = evaluate(env, plugin.make(env.spec, plugin.config()), games=3, seed=5).score()
    assert costs(score, env.spec) == pytest.approx(50.0 - score.episodes.returns[:, 0])
    spec = make_env("quadrotor-track", 1).spec  # near_path 1.0 and alive 0.5, 600 steps
    crashed = replace(score, episodes=replace(score.episodes, returns=np.zeros((3, 1))))
    assert costs(crashed, spec) == pytest.approx([900.0] * 3)


def test_arms_start_alike_whatever_their_actions_mean(tmp_path):
    folder = finished("arm-reach", tmp_path / "arm")
    recipe = RECIPES["arm-reach"]
    ours, theirs = (recipe_env(recipe, folder, 5, controller=side) for side in (False, True))
    assert ours.spec.max_steps == theirs.spec.max_steps == 400  # the task's own length
    assert ours.spec.actions != theirs.spec.actions
    states = []
    for env in (ours, theirs):
        env.reset(3)
        where = env.spec.physics["state"]
        rows = env.snapshot()
        states.append(torch.cat([rows[:, where["qpos"]], rows[:, where["command"]]], 1))
    assert torch.equal(*states)


def test_ratio_and_its_interval(tmp_path, monkeypatch):
    folders = [finished("cartpole-swingup", tmp_path / str(seed)) for seed in range(2)]
    table = {folder: np.array([2.0, 4.0]) * (1 + index) for index, folder in enumerate(folders)}
    monkeypatch.setattr(robot_scores, "_play", lambda recipe, folder, games, seed: table[folder])
    monkeypatch.setattr(robot_scores, "costs", lambda score, spec, most: score)
    monkeypatch.setattr(robot_scores, "_cheapest", lambda *given: np.array([1.0, 3.0]))
    figures = score_runs(RECIPES["cartpole-swingup"], folders, games=2)
    # Means 3 and 6 over 2: 1.5 and 3.  Starts alone: 2/1 and 4/3, in the second run twice that.
    assert figures["cartpole_cost_over_nmpc"] == pytest.approx(2.25)
    assert figures["cartpole_cost_over_nmpc_worst"] == pytest.approx(3.0)
    assert 4 / 3 <= figures["cartpole_cost_over_nmpc_low"] < 2.25
    assert 2.25 < figures["cartpole_cost_over_nmpc_high"] <= 4.0
    assert figures["cartpole_train_min"] > 0


def test_an_untrained_policy_costs_more_than_the_controller(tmp_path):
    folder = finished("quadrotor-track", tmp_path / "run")
    figures = score_runs(RECIPES["quadrotor-track"], [folder], games=4)
    # It crashes within a second or so of twelve; the controller stays near the path.
    assert figures["quadrotor_cost_over_nmpc"] > 20.0


def test_a_walking_robot_is_measured_under_commands_to_go_straight(tmp_path):
    folder = finished("quadruped-velocity", tmp_path / "run")
    env = recipe_env(RECIPES["quadruped-velocity"], folder, 64)
    assert env.spec.max_steps == 1000
    assert env.task.robot.model.opt.timestep == pytest.approx(0.005)  # as it was trained
    env.reset(0)
    command = env.snapshot()[:, env.spec.physics["state"]["command"]]
    assert command[:, 0].min() < -0.3
    assert command[:, 0].max() > 0.8
    assert (command[:, 1:] == 0).all()
    short = replace(RECIPES["quadruped-velocity"], options={**COMMANDS, "seconds": 2.0})
    figures = score_runs(short, [folder], games=16)
    # Standing still is what it can before it learns: the rms of commands from -0.5 to 1 m/s is 0.5.
    assert 0.3 < figures["quadruped_rmse"] < 0.9
    assert 0.0 <= figures["quadruped_survival"] <= 1.0


def test_returns_are_those_of_the_task(tmp_path):
    folder = finished("hopper", tmp_path / "run")
    figures = score_runs(RECIPES["hopper"], [folder], games=5)
    assert 0.0 < figures["hopper_return"] < 500.0  # it falls at once, and is paid 1 a step alive


def test_a_share_of_successes_has_an_interval_and_a_worst_run(tmp_path, monkeypatch):
    folders = [finished("cartpole-swingup", tmp_path / str(seed)) for seed in range(2)]
    table = {folders[0]: np.array([1.0, 1.0, 1.0, 0.0]), folders[1]: np.array([1.0, 0.0, 0.0, 0.0])}
    monkeypatch.setattr(robot_scores, "_play", lambda recipe, folder, games, seed: table[folder])
    monkeypatch.setattr(robot_scores, "_metric", lambda score, name: score)
    figures = score_runs(RECIPES["amr-pick"], folders, games=4)
    assert figures["amr_pick_success"] == 0.5
    assert figures["amr_pick_success_worst"] == 0.25
    assert figures["amr_pick_success_low"] < 0.5 < figures["amr_pick_success_high"]


def test_there_must_be_runs():
    with pytest.raises(ValueError, match="no runs"):
        score_runs(RECIPES["hopper"], [])
