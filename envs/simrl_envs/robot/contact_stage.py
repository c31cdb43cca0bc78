"""Contact forces on every body (`cfrc_ext`) as they stand after `mj_step`, as gymnasium reads them.

gymnasium calls `mj_rnePostConstraint` after `mj_step`, which reads the contacts of the last physics
evaluation.  A batch computes `cfrc_ext` only where a sensor asks for it.  With the Euler integrator
such a sensor is enough.  The Runge-Kutta integrator skips sensors in its inner stages, so the state
of its fourth stage is rebuilt from the derived fields that it left, and evaluated once more.
"""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
from mujoco.batch import Batch


def with_contact_forces(path: Path | str) -> mujoco.MjModel:
    """Compile a model with a sensor for which MuJoCo computes the external forces of all bodies."""
    spec = mujoco.MjSpec.from_file(str(path))
    spec.add_sensor(
        name="asks for cfrc_ext",
        type=mujoco.mjtSensor.mjSENS_FRAMELINACC,
        objtype=mujoco.mjtObj.mjOBJ_BODY,
        objname=spec.worldbody.first_body().name,
    )
    return spec.compile()


class ContactStage:
    """Step a batch so that `cfrc_ext` is that of the last evaluation of the physics.

    The model needs one free joint on its first body; every other joint needs a motor of its own,
    whose length and speed tell where the joint was.  ValueError if it is not so.
    """

    def __init__(self, model: mujoco.MjModel, batch: Batch) -> None:
        self._batch = batch
        # The sensor is looked at once in a control step, not in every physics step.
        self._flags = batch.expand("opt.disableflags")
        self._asking = int(model.opt.disableflags)
        self._silent = self._asking | int(mujoco.mjtDisableBit.mjDSBL_SENSOR)
        self._runge_kutta = model.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4
        joints = model.actuator_trnid[:, 0]
        others = set(range(1, model.njnt))
        free = model.njnt and model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE
        if self._runge_kutta and not (free and set(joints.tolist()) == others):
            raise ValueError("contact forces need a free base and a motor on every other joint")
        self._where = model.jnt_qposadr[joints], model.jnt_dofadr[joints]
        self._gear = model.actuator_gear[:, 0].copy()
        names = ("xpos", "xquat", "cvel", "subtree_com", "actuator_length", "actuator_velocity")
        if self._runge_kutta:
            self._read = {name: batch.bind(name) for name in names}
        self._qpos, self._qvel = batch.bind("qpos"), batch.bind("qvel")
        self._warm = batch.bind("qacc_warmstart")

    def step(self, count: int) -> None:
        """Advance every simulation by `count` physics steps."""
        if not self._runge_kutta:
            self._batch.step(nstep=count)
            return
        self._flags[:] = self._silent
        if count > 1:
            self._batch.step(nstep=count - 1)
        warm = self._warm.copy()
        self._batch.step()
        after = self._batch.state.copy()
        self._rebuild()
        self._warm[:] = warm
        self._flags[:] = self._asking
        self._batch.forward()
        self._batch.state[:] = after

    def _rebuild(self) -> None:
        """Write the state at which the derived fields were computed."""
        read = self._read
        where, turn = read["xpos"][:, 1], read["xquat"][:, 1]
        spin, speed = read["cvel"][:, 1, :3], read["cvel"][:, 1, 3:]
        arm = where - read["subtree_com"][:, 1]
        self._qpos[:, :3], self._qpos[:, 3:7] = where, turn
        self._qvel[:, :3] = speed + _cross(spin, arm)
        self._qvel[:, 3:6] = _into_body(turn, spin)
        self._qpos[:, self._where[0]] = read["actuator_length"] / self._gear
        self._qvel[:, self._where[1]] = read["actuator_velocity"] / self._gear


def _into_body(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Turn world vectors `[M, 3]` into the frame of unit quaternions wxyz `[M, 4]`."""
    scalar, axis = quaternion[:, :1], -quaternion[:, 1:]
    once = 2.0 * _cross(axis, vector)
    return np.asarray(vector + scalar * once + _cross(axis, once))


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return cross products of rows `[M, 3]`; much faster than `np.cross` for few rows."""
    left, right = (1, 2, 0), (2, 0, 1)
    return np.asarray(a[:, left] * b[:, right] - a[:, right] * b[:, left])
