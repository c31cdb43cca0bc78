"""Torques of whole-body control put into MuJoCo give the accelerations that it foretold."""

import mujoco
import numpy as np
import pytest

from simrl.core.plugins import make_env
from simrl_controllers.wbc import (
    Contacts,
    HierarchicalWbc,
    RobotDynamics,
    Task,
    WbcConfig,
    WeightedWbc,
)


class Stander:
    """Our quadruped on the ground, at rest."""

    def __init__(self):
        self.physics = make_env("quadruped-stand", 1, control="torque", threads=1).spec.physics
        self.model = mujoco.MjModel.from_xml_string(self.physics["mjcf"])
        self.model.dof_frictionloss[:] = 0.0  # the equations of motion know none
        self.data = mujoco.MjData(self.model)
        self.feet = [self.model.geom(name).id for name in self.physics["feet"]]

    def settle(self):
        """Stand by joint springs until nothing moves."""
        model, data = self.model, self.data
        mujoco.mj_resetDataKeyframe(model, data, 0)
        home = data.qpos[7:].copy()
        for _ in range(1500):
            data.ctrl[:] = 200.0 * (home - data.qpos[7:]) - 5.0 * data.qvel[6:]
            mujoco.mj_step(model, data)
        assert np.abs(data.qvel).max() < 1e-2 and data.qpos[2] > 0.15

    def terms(self):
        """Return equations of motion, foot Jacobians and their drift."""
        model, data = self.model, self.data
        mujoco.mj_forward(model, data)
        mass, jacobian, drift = np.zeros((18, 18)), np.zeros((4, 3, 18)), np.zeros((4, 3))
        mujoco.mj_fullM(model, data, mass)
        for foot, geom in enumerate(self.feet):
            place, body = data.geom_xpos[geom], model.geom_bodyid[geom]
            # The sphere rolls over the point below its centre.
            place = place - [0.0, 0.0, model.geom_size[geom][0]]
            mujoco.mj_jac(model, data, jacobian[foot], None, place, body)
            moved = np.zeros((3, 18))
            mujoco.mj_jacDot(model, data, moved, None, place, body)
            drift[foot] = moved @ data.qvel
        bias = data.qfrc_bias - data.qfrc_passive
        return RobotDynamics(mass[None], bias[None]), jacobian[None], drift[None]

    def control(self, kind, wanted):
        """Return the result for wanted accelerations of the base `[6]`."""
        dynamics, jacobian, drift = self.terms()
        eye = np.eye(18)[None]
        tasks = [
            Task("base", eye[:, :6], wanted[None], 100.0),
            Task("posture", eye[:, 6:], np.zeros((1, 12)), 1e-3, 2),
        ]
        contacts = Contacts(
            jacobian, np.ones((1, 4), bool), -drift, friction=0.6, min_force=5.0, force_weight=1e-4
        )
        limit = np.asarray(self.physics["torque_limit"]) * np.ones(12)
        controller = kind(WbcConfig(cone="cone"), 18, np.arange(6, 18), limit, 4)
        return controller.solve(dynamics, tasks, contacts), jacobian


@pytest.fixture(scope="module")
def stander():
    return Stander()


@pytest.mark.parametrize("kind", [WeightedWbc, HierarchicalWbc])
def test_torques_and_forces_give_the_accelerations(stander, kind):
    """With the ground's forces applied by hand and no contacts, to rounding, in motion."""
    rng = np.random.default_rng(0)
    model, data = stander.model, stander.data
    mujoco.mj_resetDataKeyframe(model, data, 0)
    data.qpos[7:] += 0.1 * rng.normal(size=12)
    data.qvel[:] = 0.4 * rng.normal(size=18)
    result, jacobian = stander.control(kind, np.array([0.5, -0.3, 1.0, 0.4, -0.6, 0.8]))
    assert result.status[0] == 0 and result.force[0, :, 2].min() > 4.99
    flags = model.opt.disableflags
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONSTRAINT
    data.ctrl[:] = result.torque[0]
    data.qfrc_applied[:] = np.einsum("kai,ka->i", jacobian[0], result.force[0])
    mujoco.mj_forward(model, data)
    got = data.qacc.copy()
    model.opt.disableflags = flags
    data.qfrc_applied[:] = 0.0
    np.testing.assert_allclose(got, result.acceleration[0], atol=1e-6)


@pytest.mark.parametrize("wanted", [[0, 0, 0, 0, 0, 0], [0, 0, 2.0, 0, 0, 0], [1.0, 0, 0, 0, 0, 0]])
def test_the_ground_answers_as_foretold(stander, wanted):
    """Standing on MuJoCo's own soft ground, which yields a little before it answers."""
    model, data = stander.model, stander.data
    stander.settle()
    speeds = []
    for _ in range(int(0.1 / model.opt.timestep)):
        result, _ = stander.control(WeightedWbc, np.array(wanted, float))
        assert result.status[0] == 0
        data.ctrl[:] = result.torque[0]
        mujoco.mj_step(model, data)
        speeds.append(data.qvel[:3].copy())
    late = len(speeds) // 2
    gained = (speeds[-1] - speeds[late]) / ((len(speeds) - 1 - late) * model.opt.timestep)
    np.testing.assert_allclose(gained, wanted[:3], atol=0.15)
    assert np.abs(data.qvel[3:6]).max() < 0.1
