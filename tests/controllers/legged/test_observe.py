"""The controller behind sensors, delays and loads."""

import numpy as np
import pytest
import torch

pytest.importorskip("mujoco.batch")

from simrl.core.plugins import make_env
from simrl_controllers.legged import LeggedConfig, LeggedPolicy

FAST = {"control": "torque", "control_step": 0.002, "physics_step": 0.002}
TROT = {"command_x": (0.4, 0.4), "command_y": (0.0, 0.0), "command_yaw": (0.0, 0.0), "still": 0.0}


def _walk(config, seconds, num_envs=2, **options):
    """Return the speeds along the heading `[T, n]`, extras `[T, n]` by name; nobody may fall."""
    env = make_env("quadruped-velocity", num_envs, **FAST, **TROT, **options)
    env.request({"state"})
    policy = LeggedPolicy(env.spec, LeggedConfig(**config))
    obs, rng, memory = env.reset(0), torch.Generator(), policy.initial_state(num_envs)
    seat, speeds, extras = torch.zeros(num_envs, dtype=torch.int64), [], []
    for _ in range(round(seconds / 0.002)):
        output = policy.act({"seat": seat, "state": obs["state"]}, memory, rng)
        memory = output.state
        timestep = env.step(output.action[:, None])
        assert not timestep.terminated.any()
        obs = timestep.obs
        qpos, qvel = obs["state"][:, :19].numpy(), obs["state"][:, 19:37].numpy()
        yaw = 2.0 * np.arctan2(qpos[:, 6], qpos[:, 3])
        speeds.append(np.cos(yaw) * qvel[:, 0] + np.sin(yaw) * qvel[:, 1])
        extras.append({name: value.numpy().copy() for name, value in output.extras.items()})
    return np.array(speeds), {k: np.array([e[k] for e in extras]) for k in extras[0]}, memory


def test_walks_by_its_sensors_alone():
    speeds, extras, memory = _walk({"estimate": True}, 2.0)
    assert speeds[500:].mean() == pytest.approx(0.4, abs=0.04)
    assert not extras["fallen"].any()
    assert set(memory) == {"memory", "plan", "torque", "estimate", "recovery"}


def test_walks_with_torques_that_come_late():
    speeds, _, memory = _walk({"delay": 0.02}, 2.0, latency=(0.02, 0.02))
    assert speeds[500:].mean() == pytest.approx(0.4, abs=0.04)
    assert memory["queue"].shape == (2, 10, 18)


def test_load_is_weighed():
    _, extras, _ = _walk({}, 2.5, payload=(6.0, 6.0), num_envs=1)
    assert extras["load"][-250:].mean() == pytest.approx(6.0, abs=0.8)
    _, extras, _ = _walk({"payload": False}, 0.1, payload=(6.0, 6.0), num_envs=1)
    assert not extras["load"].any()


def test_late_plans_are_thrown_away():
    _, extras, memory = _walk({"deadline": 1e-9}, 0.02, num_envs=1)
    assert extras["fallback"].all()
    assert not memory["torque"].any() and not memory["plan"].any()


def test_falls_are_told():
    env = make_env("quadruped-recover", 4, **FAST)
    policy = LeggedPolicy(env.spec, LeggedConfig(gait="stand"))
    obs = env.reset(0)
    qpos = obs["state"][:, :7].numpy()
    up = 1.0 - 2.0 * (qpos[:, 4] ** 2 + qpos[:, 5] ** 2)
    seat = torch.zeros(4, dtype=torch.int64)
    output = policy.act(
        {"seat": seat, "state": obs["state"]}, policy.initial_state(4), torch.Generator()
    )
    told = output.extras["fallen"].numpy() > 0
    assert told[up < 0.5].all() and (up < 0.5).any()


def test_rows_do_not_depend_on_one_another():
    env = make_env("quadruped-velocity", 3, **FAST, **TROT)
    policy = LeggedPolicy(env.spec, LeggedConfig(estimate=True, delay=0.004))
    obs, rng = env.reset(0), torch.Generator()
    memory, single = policy.initial_state(3), policy.initial_state(1)
    for _ in range(5):
        seat = torch.zeros(3, dtype=torch.int64)
        output = policy.act({"seat": seat, "state": obs["state"]}, memory, rng)
        alone = policy.act({"seat": seat[:1], "state": obs["state"][2:]}, single, rng)
        assert torch.equal(alone.action, output.action[2:])
        memory, single = output.state, alone.state
        for name, value in single.items():
            assert torch.equal(value, memory[name][2:]), name
        obs = env.step(output.action[:, None]).obs


def test_sensors_may_be_a_mapping():
    config = LeggedConfig(sensors={"noise_scale": 0.5})
    assert config.sensors.noise_scale == 0.5
    with pytest.raises(ValueError, match="mpc-wbc: sensors has no option 'noise'"):
        LeggedConfig(sensors={"noise": 1.0})


def test_states_that_are_not_finite_are_named():
    env = make_env("quadruped-velocity", 2, **FAST)
    policy = LeggedPolicy(env.spec, LeggedConfig())
    state = env.reset(0)["state"].clone()
    state[1, 3] = float("nan")
    with pytest.raises(ValueError, match="row 1 of the state is not finite"):
        seat = torch.zeros(2, dtype=torch.int64)
        policy.act({"seat": seat, "state": state}, policy.initial_state(2), torch.Generator())
