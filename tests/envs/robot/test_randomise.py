"""Domain randomisation, each effect against arithmetic by hand."""

import math

import numpy as np
import pytest
import torch

pytest.importorskip("mujoco.batch")

from simrl.core.plugins import make_env
from simrl_envs.robot.config import RobotConfig

CART_ACCELERATION = 10 / 1.025
"""10 N on the cart, pole hanging at rest.  The cart feels 1 + 0.1 kg less (m l)^2 / (I + m l^2) =
0.05^2 / (0.00833 + 0.025) = 0.075 kg [m/s^2]."""


def _hanging(num_envs=2, **options):
    """Make cart-poles that hang at rest in the middle."""
    env = make_env("cartpole-swingup", num_envs, **options)
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    state[:, parts["qpos"]] = torch.tensor([0.0, math.pi], dtype=torch.float64)
    state[:, parts["qvel"]] = 0.0
    env.restore(state)
    return env


def _cart_speed(env, steps=1):
    for _ in range(steps):
        obs = env.step(torch.full((env.num_envs, 1, 1), 10.0)).obs
    return obs["state"][:, env.spec.physics["state"]["qvel"].start]


def test_nominal_cart_speeds_up_as_by_hand():
    speed = _cart_speed(_hanging())
    assert speed.tolist() == pytest.approx([0.02 * CART_ACCELERATION] * 2, rel=2e-3)


@pytest.mark.parametrize(
    ("options", "factor"),
    [({"mass": (2.0, 2.0)}, 0.5), ({"motor_gain": (0.5, 0.5)}, 0.5)],
)
def test_mass_and_motor_gain_scale_the_acceleration(options, factor):
    speed = _cart_speed(_hanging(**options))
    assert speed.tolist() == pytest.approx([0.02 * CART_ACCELERATION * factor] * 2, rel=4e-3)


def test_payload_weighs_a_quadrotor_down():
    # Thrust for 0.716 kg on 0.716 + 0.284 = 1 kg: falls with 0.284 g; after 0.02 s at 0.0557 m/s.
    env = make_env("quadrotor-hover", 1, payload=(0.284, 0.284))
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    state[:, parts["qpos"]] = torch.tensor([0, 0, 1.5, 1, 0, 0, 0], dtype=torch.float64)
    state[:, parts["qvel"]] = 0.0
    env.restore(state)
    obs = env.step(torch.full((1, 1, 4), 0.716 * 9.81 / 4)).obs
    fall = obs["state"][0, parts["qvel"].start + 2]
    assert float(fall) == pytest.approx(-0.284 * 9.81 * 0.02, rel=1e-6)


def test_latency_delays_by_physics_steps():
    # 0.03 s are three physics steps of 0.01 s, so one of the first four feels the force.
    env = _hanging(latency=(0.03, 0.03))
    assert _cart_speed(env).abs().max() < 1e-12
    speed = _cart_speed(env)
    assert speed.tolist() == pytest.approx([0.01 * CART_ACCELERATION] * 2, rel=2e-3)
    # From then on it is the nominal motion, three physics steps late.
    later = _cart_speed(env)
    assert later.tolist() == pytest.approx([0.03 * CART_ACCELERATION] * 2, rel=1e-2)


def test_push_gives_its_impulse():
    # 0.5 N s on 0.716 kg: 0.698 m/s sideways, whatever the direction; one whole push in 0.2 s.
    env = make_env("quadrotor-hover", 3, push=(0.5, 0.5), push_interval=0.2)
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    state[:, parts["qpos"]] = torch.tensor([0, 0, 1.5, 1, 0, 0, 0], dtype=torch.float64)
    state[:, parts["qvel"]] = 0.0
    env.restore(state)
    for _ in range(10):
        obs = env.step(torch.full((3, 1, 4), 0.716 * 9.81 / 4)).obs
    speed = obs["state"][:, parts["qvel"]][:, :2]
    assert speed.norm(dim=1).tolist() == pytest.approx([0.5 / 0.716] * 3, rel=1e-6)
    assert (speed[0] - speed[1]).norm() > 1e-3


def _speeds_after(steps, yaw=0.0, **options):
    """Hover for some steps under pushes; return the speeds over the ground `[2, 2]`."""
    env = make_env("quadrotor-hover", 2, push=(0.5, 0.5), **options)
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    turned = [0, 0, 1.5, math.cos(yaw / 2), 0, 0, math.sin(yaw / 2)]
    state[:, parts["qpos"]] = torch.tensor(turned, dtype=torch.float64)
    state[:, parts["qvel"]] = 0.0
    env.restore(state)
    for _ in range(steps):
        obs = env.step(torch.full((2, 1, 4), 0.716 * 9.81 / 4)).obs
    return obs["state"][:, parts["qvel"]][:, :2]


def test_push_comes_when_and_where_it_is_told():
    # From 0.3 s for 0.1 s, in steps of 0.02 s, to the left of a robot that looks along (cos 0.5,
    # sin 0.5): 0.698 m/s along (-sin 0.5, cos 0.5) = (-0.479, 0.878).
    left = {"push_angle": (math.pi / 2, math.pi / 2), "push_frame": "heading"}
    fixed = {**left, "push_start": 0.3, "push_interval": 10.0}
    assert _speeds_after(15, yaw=0.5, **fixed).abs().max() < 1e-12
    half = _speeds_after(17, yaw=0.5, **fixed)
    whole = _speeds_after(20, yaw=0.5, **fixed)
    later = _speeds_after(60, yaw=0.5, **fixed)
    expected = torch.tensor([[-0.3348, 0.6128]], dtype=torch.float64).expand(2, 2)
    torch.testing.assert_close(half, 0.4 * expected, atol=2e-3, rtol=0)
    torch.testing.assert_close(whole, expected, atol=2e-3, rtol=0)
    torch.testing.assert_close(later, whole, atol=1e-9, rtol=0)
    world = {"push_angle": (math.pi / 2, math.pi / 2), "push_start": 0.0}
    along = _speeds_after(5, yaw=0.5, **world)
    torch.testing.assert_close(along[:, 1], torch.full((2,), 0.5 / 0.716, dtype=torch.float64))


def test_pushes_follow_each_other_after_the_first():
    # 0.1 s long every 0.2 s from 0.1 s on: after 0.5 s two whole ones.
    east = {"push_angle": (0.0, 0.0), "push_start": 0.1, "push_interval": 0.2}
    twice = _speeds_after(25, **east)
    assert twice[:, 0].tolist() == pytest.approx([2 * 0.5 / 0.716] * 2, rel=1e-6)


def test_heading_needs_a_body_that_moves_freely():
    with pytest.raises(ValueError, match="push_frame=heading needs a push body that moves freely"):
        make_env("cartpole-swingup", 1, push=(0.1, 0.1), push_frame="heading")


def test_friction_is_that_of_both_geoms_of_a_pair():
    env = make_env("gymnasium/Hopper-v5", 4, friction=(0.3, 0.6))
    env.reset(0)
    sliding = env.simulation.batch.expand("geom_friction")[:, :, 0]
    assert np.all(sliding == sliding[:, :1]) and len(set(sliding[:, 0])) == 4
    assert np.all((sliding >= 0.3) & (sliding < 0.6))


def test_noise_is_that_of_the_task_file_and_repeats_after_restore():
    clean, noisy = _hanging(400), _hanging(400, observation_noise=1.0)
    state = clean.snapshot()
    quiet, loud = clean.restore(state)["policy"], noisy.restore(state)["policy"]
    # The task file names 0.05 for the velocities, the last two columns; 800 draws: within 10 %.
    error = (loud - quiet)[:, 0, -2:]
    assert float(error.std()) == pytest.approx(0.05, rel=0.1)
    assert torch.equal(noisy.restore(state)["policy"], loud)


def test_restored_rows_get_their_own_parameters_back():
    options = {"mass": (0.5, 2.0), "motor_gain": (0.5, 1.5), "latency": (0.0, 0.05)}
    env, other = (make_env("cartpole-swingup", 3, push=(0.1, 1.0), **options) for _ in range(2))
    env.reset(0), other.reset(1)
    for _ in range(3):
        env.step(torch.ones(3, 1, 1))
    snapshot = env.snapshot()
    other.restore(snapshot[[2, 0]], torch.tensor([0, 1]))
    ours = env.step(torch.ones(3, 1, 1)).obs["state"]
    theirs = other.step(torch.ones(3, 1, 1)).obs["state"]
    assert torch.equal(theirs[:2], ours[[2, 0]])


def test_episodes_differ_and_rows_do_not_depend_on_their_number():
    few, many = (make_env("cartpole-swingup", n, mass=(0.5, 2.0), seconds=0.1) for n in (2, 5))
    masses = []
    for env in (few, many):
        env.reset(3)
        seen = []
        for _ in range(11):
            seen.append(env.simulation.batch.expand("body_mass")[:2, 1].copy())
            env.step(torch.zeros(env.num_envs, 1, 1))
        masses.append(np.array(seen))
    assert np.array_equal(*masses)
    assert len(np.unique(masses[0][:, 0])) == 3  # 11 looks at episodes of five steps


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mass": (0.0, 1.0)}, r"mass must satisfy 0 < low <= high"),
        ({"friction": (0.8, 0.4)}, r"friction must satisfy 0 < low <= high"),
        ({"push": (-1.0, 1.0)}, r"push must satisfy 0 <= low <= high"),
        ({"latency": (0.0, float("inf"))}, "latency must be two finite numbers"),
        ({"seconds": -1.0}, "seconds must be at least 0"),
        ({"push_seconds": 0.0}, "push_seconds must be above 0"),
        ({"push_angle": (1.0, 0.0)}, "push_angle must satisfy low <= high"),
        ({"push_frame": "body"}, "push_frame is 'body'; it is one of world, heading"),
        ({"push_start": -1.0}, "push_start must be at least 0"),
    ],
)
def test_ranges_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        make_env("cartpole-swingup", 1, **options)


def test_ranges_may_come_as_lists_from_files():
    plain = RobotConfig(mass=[1, 1], latency=[0, 0])
    assert plain == RobotConfig() and not plain.randomised


def test_a_task_without_payload_body_says_so():
    with pytest.raises(ValueError, match="its task file names no payload_body"):
        make_env("gymnasium/Hopper-v5", 1, payload=(0.0, 1.0))
