"""Cart-pole and quadrotor: facts, references and success by hand."""

import math

import pytest
import torch

pytest.importorskip("mujoco.batch")

from simrl.core.plugins import make_env


def test_cartpole_leans_and_moves_towards_positive_x():
    env = make_env("cartpole-balance", 1)
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    state[:, parts["qpos"]] = torch.tensor([0.0, 0.1], dtype=torch.float64)
    state[:, parts["qvel"]] = 0.0
    env.restore(state)
    obs = env.step(torch.zeros(1, 1, 1)).obs["state"][0]
    # The pole falls further: theta'' = g sin(theta) / (l (4/3 - m / (m + M))), l = 0.5 m;
    # = 9.81 * 0.0998 / (0.5 * (1.3333 - 0.0909)) = 1.576 rad/s^2; the cart is pushed back.
    speed = obs[parts["qvel"]]
    assert float(speed[1]) == pytest.approx(1.576 * 0.02, rel=0.01)
    assert float(speed[0]) < 0


def test_cartpole_leaves_its_track():
    env = make_env("cartpole-swingup", 1)
    env.reset(0)
    for _ in range(100):
        step = env.step(torch.full((1, 1, 1), 10.0))
        if bool(step.done[0]):
            break
    assert bool(step.terminated[0])
    x = step.final_obs["state"][0, env.spec.physics["state"]["qpos"].start]
    assert float(x) > env.spec.physics["x_limit"]
    assert step.metrics["success"][0, 0] == 0.0


@pytest.mark.parametrize(("angle", "wanted"), [(0.0, 1.0), (math.pi, 0.0)])
def test_cartpole_succeeds_upright_alone(angle, wanted):
    """Exactly upright and exactly hanging are equilibria, so both stay for the whole episode."""
    env = make_env("cartpole-swingup", 1)
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    state[:, parts["qpos"]] = torch.tensor([0.0, angle], dtype=torch.float64)
    state[:, parts["qvel"]] = 0.0
    env.restore(state)
    for _ in range(env.spec.max_steps):
        step = env.step(torch.zeros(1, 1, 1))
    assert bool(step.truncated[0])
    assert step.metrics["success"][0, 0] == wanted
    assert float(step.metrics["rmse"][0, 0]) == pytest.approx(angle, abs=1e-3)


def test_quadrotor_facts_are_the_models():
    physics = make_env("quadrotor-hover", 1).spec.physics
    assert physics["mass"] == pytest.approx(0.716)
    assert physics["inertia"] == pytest.approx((0.007, 0.007, 0.012))
    assert physics["rotor_spin"] == (1.0, -1.0, 1.0, -1.0)
    assert physics["rotors"][1] == pytest.approx((0.0, 0.17, 0.0))


def _resting_quadrotor():
    env = make_env("quadrotor-hover", 1)
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    state[:, parts["qpos"]] = torch.tensor([0, 0, 1.5, 1, 0, 0, 0], dtype=torch.float64)
    state[:, parts["qvel"]] = 0.0
    state[:, parts["command"]] = torch.tensor([0, 0, 1.5, 0], dtype=torch.float64)
    env.restore(state)
    return env


@pytest.mark.parametrize(
    ("change", "axis", "torque", "inertia"),
    [
        ((0.1, 0.0, 0.0, 0.0), 1, -0.17 * 0.1, 0.007),  # more lift in front pitches up: -y
        ((0.0, 0.1, 0.0, 0.0), 0, 0.17 * 0.1, 0.007),  # more lift on the left rolls right: +x
        ((0.1, 0.0, 0.1, 0.0), 2, 0.016 * 0.2, 0.012),
        ((0.0, 0.1, 0.0, 0.1), 2, -0.016 * 0.2, 0.012),
    ],
)
def test_quadrotor_torques(change, axis, torque, inertia):
    env = _resting_quadrotor()
    thrust = torch.full((1, 1, 4), 0.716 * 9.81 / 4) + torch.tensor(change)
    qvel = env.step(thrust).obs["state"][0, env.spec.physics["state"]["qvel"]]
    assert float(qvel[3 + axis]) == pytest.approx(torque / inertia * 0.02, rel=1e-3)


def test_hovering_quadrotor_succeeds():
    env = _resting_quadrotor()
    for _ in range(env.spec.max_steps):
        step = env.step(torch.full((1, 1, 4), 0.716 * 9.81 / 4))
    assert bool(step.truncated[0]) and step.metrics["success"][0, 0] == 1.0
    assert float(step.metrics["rmse"][0, 0]) < 1e-3  # float32 thrusts drift a little


def test_falling_quadrotor_crashes():
    env = _resting_quadrotor()
    for _ in range(60):  # from 1.5 m to 0.1 m in sqrt(2 * 1.4 / 9.81) = 0.534 s = 27 steps
        step = env.step(torch.zeros(1, 1, 4))
        if bool(step.done[0]):
            break
    assert bool(step.terminated[0]) and step.metrics["success"][0, 0] == 0.0
    time = step.final_obs["state"][0, env.spec.physics["state"]["time"]]
    assert float(time[0]) == pytest.approx(0.54)


def test_figure_eight_reference_by_hand():
    env = make_env("quadrotor-track", 1)
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    # Length 1, width 1.2, height 1.5 m, period 8 s, phase 0.
    state[:, parts["command"]] = torch.tensor([1.0, 1.2, 1.5, 8.0, 0.0], dtype=torch.float64)
    ahead = torch.tensor([0.0, 1.0, 2.0])
    target = env.spec.reference(state, ahead)
    assert env.spec.physics["reference"] == ("x", "y", "z", "vx", "vy", "vz", "yaw")
    # At 1 s the angle is 45 degrees: x = 0.7071, y = 1.2 * 0.5; the y velocity turns: 0.
    rate = math.pi / 4
    assert target[0, 0].tolist() == pytest.approx([0, 0, 1.5, rate, 1.2 * rate, 0, 0])
    side = math.sqrt(0.5)
    assert target[0, 1].tolist() == pytest.approx([side, 0.6, 1.5, rate * side, 0, 0, 0])
    assert target[0, 2].tolist() == pytest.approx([1, 0, 1.5, 0, -1.2 * rate, 0, 0], abs=1e-12)


def test_reference_follows_the_clock_of_the_state():
    env = make_env("quadrotor-track", 2)
    env.reset(5)
    start = env.snapshot()
    wanted = env.spec.reference(start, torch.tensor([0.02], dtype=torch.float64))
    env.step(torch.full((2, 1, 4), 1.75))
    now = env.spec.reference(env.snapshot(), torch.tensor([0.0]))
    torch.testing.assert_close(now, wanted, rtol=0, atol=1e-12)
