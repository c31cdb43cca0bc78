"""The base of robot environments: threads, limits, errors, divergence and task files."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("mujoco.batch")

from simrl.core.checks import check_dynamics, check_env, random_action
from simrl.core.plugins import env_plugin, make_env
from simrl_envs.robot.config import RobotConfig
from simrl_envs.robot.dynamics import RobotDynamics
from simrl_envs.robot.env import RobotEnv
from simrl_envs.robot.plugin import TASKS
from simrl_envs.robot.task import load_task


def _play(env, steps, seed=0):
    """Return observations, rewards and ends of random play, stacked."""
    rng = torch.Generator().manual_seed(seed)
    obs, out = env.reset(seed), []
    for _ in range(steps):
        step = env.step(random_action(env.spec, obs, rng))
        obs = step.obs
        out.append(torch.cat([obs["policy"].flatten(1), step.reward, step.done[:, None]], 1))
    return torch.stack(out)


@pytest.mark.parametrize("name", ["quadrotor-track", "gymnasium/Ant-v5"])
def test_same_bits_for_any_number_of_threads(name):
    one, three = (_play(make_env(name, 5, threads=t, seconds=0.5), 40) for t in (1, 3))
    assert torch.equal(one, three)


def test_time_limit_truncates_and_bootstraps_from_the_last_state():
    env = make_env("cartpole-swingup", 2, seconds=0.1)  # five steps of 0.02 s
    env.reset(0)
    action = torch.zeros(2, 1, 1)
    for index in range(5):
        step = env.step(action)
        assert bool(step.truncated.all()) == (index == 4)
        assert not bool(step.terminated.any())
    time = env.spec.physics["state"]["time"]
    assert step.final_obs["state"][:, time].flatten().tolist() == pytest.approx([0.1, 0.1])
    assert step.obs["state"][:, time].flatten().tolist() == [0.0, 0.0]


def test_non_finite_action_names_env_agent_and_index():
    env = make_env("quadrotor-hover", 3)
    env.reset(0)
    action = torch.zeros(3, 1, 4)
    action[2, 0, 1] = float("nan")
    with pytest.raises(ValueError, match="environment 2, agent 0: index 1 of the action is nan"):
        env.step(action)


def test_restoring_a_state_that_is_not_finite_names_row_and_part():
    env = make_env("quadrotor-hover", 2)
    env.reset(0)
    state = env.snapshot()
    state[1, env.spec.physics["state"]["qvel"].start] = float("inf")
    with pytest.raises(ValueError, match="row 1 of the state is inf in its part 'qvel'"):
        env.restore(state)


@pytest.mark.parametrize("speed", [1e9, 1e200])
def test_diverged_row_is_reset_and_reported_and_the_others_go_on(speed, caplog):
    env, alone = make_env("quadrotor-hover", 3), make_env("quadrotor-hover", 3)
    env.reset(0), alone.reset(0)
    state = env.snapshot()
    state[1, env.spec.physics["state"]["qvel"]] = speed
    env.restore(state)
    action = torch.full((3, 1, 4), 1.7)
    with caplog.at_level(logging.WARNING, "simrl_envs.robot.env"):
        step, wanted = env.step(action), alone.step(action)
    assert step.reward[1, 0] == 0.0
    assert step.terminated.tolist() == [False, True, False]
    assert step.metrics["diverged"][1, 0] == 1.0 and step.metrics["success"][1, 0] == 0.0
    assert "quadrotor-hover: the physics of environments [1] diverged" in caplog.text
    assert all(torch.isfinite(value).all() for value in (*step.obs.values(), step.reward))
    assert torch.isfinite(step.final_obs["policy"]).all()
    assert torch.equal(step.obs["policy"][[0, 2]], wanted.obs["policy"][[0, 2]])
    again = env.step(action)
    assert not bool(again.done.any())


def test_dynamics_end_a_state_that_diverges():
    env = make_env("quadrotor-hover", 2)
    env.reset(0)
    state = env.snapshot()
    state[1, env.spec.physics["state"]["qvel"]] = 1e9
    actions = torch.full((2, 3, 1, 4), 1.7)
    states, rewards, discounts = env.spec.dynamics().rollout(state, actions)
    assert discounts.tolist() == [[1, 1, 1], [0, 0, 0]]
    assert torch.isfinite(rewards).all()
    qpos = env.spec.physics["state"]["qpos"]
    assert torch.equal(states[1, 2, qpos], state[1, qpos])


def _expect_rollout_equals_steps(env, dynamics, steps):
    obs, rng = env.reset(1), torch.Generator().manual_seed(2)
    state = env.snapshot()
    actions = torch.stack([random_action(env.spec, obs, rng) for _ in range(steps)], dim=1)
    states, rewards, discounts = dynamics.rollout(state, actions)
    for t in range(steps):
        state, reward, discount = dynamics.step(state, actions[:, t])
        assert torch.equal(states[:, t], state)
        assert torch.equal(rewards[:, t], reward) and torch.equal(discounts[:, t], discount)
    return discounts


@pytest.mark.parametrize(
    "name",
    [
        "cartpole-swingup",
        "quadrotor-track",
        "gymnasium/Walker2d-v5",
        "quadruped-velocity",
        "arm-track",
    ],
)
def test_rollout_equals_repeated_steps(name):
    plugin = env_plugin(name)
    env, dynamics = plugin.make(plugin.config(), 6), plugin.dynamics(plugin.config())
    discounts = _expect_rollout_equals_steps(env, dynamics, 60)
    if name.startswith(("quadrotor", "gym")):
        assert (discounts[:, -1] == 0).any() and (discounts[:, 10] == 1).any()


def test_dynamics_refuse_wrong_shapes_and_numbers():
    env = make_env("quadrotor-hover", 2)
    env.reset(0)
    dynamics, state = env.spec.dynamics(), env.snapshot()
    with pytest.raises(ValueError, match="states are float64"):
        dynamics.step(state.float(), torch.zeros(2, 1, 4))
    with pytest.raises(ValueError, match=r"actions are \[2, H, 1, 4\]"):
        dynamics.rollout(state, torch.zeros(2, 5, 1, 3))
    with pytest.raises(ValueError, match="actions of row 1 are not finite"):
        dynamics.step(state, torch.tensor([[[0.0] * 4], [[float("nan")] * 4]]))


BAD_TASKS = {
    "unknown key": ('system = "cartpole"', 'sistem = "cartpole"', "unknown key 'sistem'; the keys"),
    "missing key": ("step_seconds = 0.02\n", "", "'step_seconds' is missing; it must be a number"),
    "wrong type": ("seconds = 10.0", 'seconds = "ten"', "seconds must be a number, got 'ten'"),
    "unknown term": (
        'term = "pole_spin"',
        'term = "pole_spinn"',
        r"rewards\[2\]: unknown reward 'pole_spinn'; there are",
    ),
    "unknown argument": (
        'term = "effort"',
        'term = "effort"\nsize = 3',
        r"rewards\[3\]: 'effort' has no argument 'size'; its arguments are none",
    ),
    "missing argument": ("angle = 0.2\n", "", r"metrics\[1\]: 'pole_within' needs the argument"),
    "unknown joint": (
        'joints = ["hinge"]',
        'joints = ["elbow"]',
        "no joint called 'elbow'; its joints are slider, hinge",
    ),
    "unknown metric": ("upright_share = {", "upright = {", "unknown metric 'upright'; the metrics"),
    "substeps": ("step_seconds = 0.02", "step_seconds = 0.025", "not a whole number of physics"),
    "fresh": ('system = "cartpole"', 'fresh = "soon"', "fresh is 'soon'; its values are none, pos"),
    "module": ("terms.cartpole", "terms.cartpol", "cannot be imported"),
    "model": ("mjcf/cartpole.xml", "mjcf/cart.xml", "there is no model file"),
}


@pytest.mark.parametrize("case", BAD_TASKS)
def test_bad_task_file_is_refused_with_what_is_valid(case, tmp_path):
    old, new, message = BAD_TASKS[case]
    text = (TASKS / "cartpole-swingup.toml").read_text()
    assert old in text
    text = text.replace(old, new).replace('"../mjcf', f'"{TASKS.parent}/mjcf')
    path = Path(tmp_path) / "bad.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_task(path, "bad")


@pytest.mark.parametrize("fresh", ["none", "pos", "vel", "acc"])
def test_derived_fields_of_any_freshness_keep_the_contract(fresh, tmp_path):
    """The pole's place and the rail's force are shown, and the distance is paid for."""
    text = (TASKS / "cartpole-balance.toml").read_text()
    text = text.replace('"../mjcf', f'"{TASKS.parent}/mjcf')
    text = text.replace('system = "cartpole"', f'fresh = "{fresh}"', 1)
    text = text.replace('cartpole"]', 'cartpole", "simrl_envs.robot.terms.gymnasium_v5"]', 1)
    text += """
[[observations.critic]]
term = "gym_body"
body = "pole"
[[observations.critic]]
term = "gym_rail_force"
[[rewards]]
term = "gym_distance"
one = "pole"
other = "world"
weight = -0.1
"""
    path = Path(tmp_path) / "derived.toml"
    path.write_text(text)
    task, config = load_task(path, "derived"), RobotConfig(seconds=0.5, latency=(0.0, 0.0))
    check_env(lambda n: RobotEnv(task, config, n), num_envs=3, num_steps=40)
    check_dynamics(RobotDynamics(task, config), RobotEnv(task, config, 3), num_steps=40)
    _expect_rollout_equals_steps(RobotEnv(task, config, 3), RobotDynamics(task, config), 30)
    env = RobotEnv(task, config, 1)
    env.reset(0)
    env.step(torch.full((1, 1, 1), 10.0))
    cart = env.snapshot()[0, env.spec.physics["state"]["qpos"].start]
    shown = env.precise["critic"][0, 0]
    # The pole stands on the cart; only the old field lags by a stage of the last physics step.
    assert (shown == pytest.approx(float(cart), abs=1e-12)) == (fresh != "none")


def test_delayed_actuators_change_the_row_of_env_and_dynamics_alike():
    plugin = env_plugin("cartpole-swingup")
    config = plugin.config(latency=(0.05, 0.05))  # three control steps of 0.02 s
    env, dynamics = plugin.make(config, 2), plugin.dynamics(config)
    env.reset(0)
    parts = env.spec.physics["state"]
    assert parts["sent"].stop - parts["sent"].start == 3
    _expect_rollout_equals_steps(env, dynamics, 10)
    after, _, _ = dynamics.step(env.snapshot(), torch.full((2, 1, 1), 4.0))
    after, _, _ = dynamics.step(after, torch.full((2, 1, 1), 5.0))
    assert after[0, parts["sent"]].tolist()[-1] == 4.0
    assert after[0, parts["action"]].tolist() == [5.0]


def test_variables_fill_a_task_file(tmp_path):
    text = (TASKS / "cartpole-swingup.toml").read_text()
    text = text.replace('joints = ["hinge"]', 'joints = "$poles"')
    path = Path(tmp_path) / "filled.toml"
    path.write_text(text.replace('"../mjcf', f'"{TASKS.parent}/mjcf'))
    task = load_task(path, "filled", variables={"poles": ("hinge",)})
    assert "pole.sine of hinge" in task.groups["policy"].layout.names()
    with pytest.raises(ValueError, match=r"unknown variable '\$poles'; the variables are \$feet"):
        load_task(path, "filled", variables={"feet": ()})


def test_tables_are_left_out_where_their_when_is_false(tmp_path):
    text = (TASKS / "cartpole-swingup.toml").read_text()
    text += '[[metrics]]\nwhen = "$far"\nname = "far"\nterm = "cart_distance"\n'
    path = Path(tmp_path) / "chosen.toml"
    path.write_text(text.replace('"../mjcf', f'"{TASKS.parent}/mjcf'))
    with_it, without = (load_task(path, "chosen", variables={"far": on}) for on in (True, False))
    assert set(with_it.metric_names) - set(without.metric_names) == {"far"}
    with pytest.raises(ValueError, match="when must be true or false, got 'yes'"):
        load_task(path, "chosen", variables={"far": "yes"})


def test_precise_values_round_to_what_is_returned():
    env = make_env("quadrotor-track", 4)
    _play(env, 10)
    seen = env.step(torch.full((4, 1, 4), 2.0))
    assert torch.equal(
        torch.from_numpy(env.precise["policy"].astype(np.float32)), seen.obs["policy"][:, 0]
    )
