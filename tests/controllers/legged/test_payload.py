"""Loads: their equations of motion against MuJoCo's, and weighing by hand numbers."""

import numpy as np
import pytest

from simrl.core.plugins import make_env
from simrl_controllers.legged.payload import Scale, add_load, load_place, weigh
from simrl_controllers.legged.robot import legged_robot
from simrl_controllers.legged.terms import evaluate

mujoco = pytest.importorskip("mujoco")

SCALE = Scale(10.0, 10.0, np.array([0.02, 0.0, 0.0]), 0.3, 0.4, 2.0, -3.0, 12.0)
FEET = np.array([[0.2, 0.1, 0.0], [0.2, -0.1, 0.0], [-0.2, 0.1, 0.0], [-0.2, -0.1, 0.0]])


def test_a_point_mass_on_the_base_is_mujocos():
    env = make_env("quadruped-stand", 1, control="torque")
    robot, arm = legged_robot(env.spec), np.array([0.05, -0.03, 0.12])
    spec = mujoco.MjSpec.from_string(env.spec.physics["mjcf"])
    body = spec.body(env.spec.physics["base"]).add_body(pos=arm)
    body.mass, body.inertia, body.ipos = 4.0, [1e-9] * 3, [0.0] * 3
    body.explicitinertial = True
    model = spec.compile()
    data, full, rng = mujoco.MjData(model), np.zeros((18, 18)), np.random.default_rng(0)
    for _ in range(3):
        qpos, qvel = rng.normal(size=19), rng.normal(size=18)
        qpos[3:7] /= np.linalg.norm(qpos[3:7])
        data.qpos[:], data.qvel[:] = qpos, qvel
        mujoco.mj_forward(model, data)
        mujoco.mj_fullM(model, data, full)
        terms = evaluate(robot.tree, qpos[None], qvel[None])
        mass, bias = terms.mass[0], terms.bias[0]
        add_load(4.0, arm, terms.rotation[0], qvel[3:6], 9.81, mass, bias)
        assert mass == pytest.approx(full, abs=1e-8)
        assert bias == pytest.approx(data.qfrc_bias - data.qfrc_passive, abs=1e-8)


def _weighed(force, steps, scale=SCALE, turn=None, place=None):
    load = np.zeros(3)
    turn = np.eye(3) if turn is None else turn
    place = np.zeros(3) if place is None else place
    for _ in range(steps):
        weigh(scale, np.array(force, np.float64), FEET @ turn.T + place, place, turn, 0.01, load)
    return load


def test_mass_is_what_the_feet_carry():
    # 160 N on the feet: 16 kg, 6 more than the robot's 10.
    assert _weighed([40, 40, 40, 40], 2000)[0] == pytest.approx(6.0, abs=1e-6)
    # After one time constant of 0.4 s about 63 %.
    assert _weighed([40, 40, 40, 40], 40)[0] == pytest.approx(6.0 * 0.63, rel=0.03)


def test_place_is_the_centre_of_pressure():
    # Front feet 50 N, rear ones 40: 0.2 (100 - 80) / 180 = 0.0222 m, 0.0022 ahead of the nominal.
    load = _weighed([50, 50, 40, 40], 5000)
    assert load == pytest.approx([8.0, 0.00222, 0.0], abs=2e-5)
    arm = np.zeros(3)
    load_place(SCALE, load, arm)
    # Moments about the nominal centre: 8 kg at x = 18 kg at 0.00222 m.
    assert arm == pytest.approx([18 * 0.00222 / 8, 0.0, 0.0], abs=5e-5)


def test_heading_and_place_of_the_robot_do_not_matter():
    c, s = np.cos(2.0), np.sin(2.0)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    there = _weighed([50, 30, 45, 40], 500, turn=turn, place=np.array([5.0, -3.0, 0.2]))
    assert there == pytest.approx(_weighed([50, 30, 45, 40], 500), abs=1e-12)


def test_load_is_bounded_and_learned_on_the_feet_only():
    assert _weighed([400, 400, 400, 400], 5000)[0] == 12.0
    assert _weighed([25, 0, 0, 25], 5000)[0] == -3.0
    assert not _weighed([5, 5, 5, 5], 5000).any()  # it flies
    tilted = _weighed([150, 150, 0, 0], 5000)
    assert tilted[1] == pytest.approx(0.08 * 0.3)


def test_a_light_load_is_at_the_centre():
    arm = np.ones(3)
    load_place(SCALE, np.array([0.4, 0.01, 0.01]), arm)
    assert not arm.any()
    load_place(SCALE, np.array([-2.0, 0.01, 0.01]), arm)
    assert not arm.any()
