"""Contact forces on every body (`cfrc_ext`) as they stand after `mj_step`, as gymnasium reads them.

gymnasium calls `mj_rnePostConstraint` after `mj_step`, which reads the contacts of the last physics
evaluation.  A batch computes `cfrc_ext` only where a sensor asks for it.  With the Euler integrator
such a sensor is enough.  The Runge-Kutta integrator skips sensors in its inner stages, so the state
of its fourth stage is rebuilt from the derived fields that it left, and evaluated once more.

A primal solver (Newton, CG) leaves the accelerations that it found as its next start, so that no
iteration is needed to find the forces again.  The dual one (PGS) has to start where it started.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch

READ = ("xpos", "xquat", "xmat", "cvel", "subtree_com", "actuator_length", "actuator_velocity")
"""Derived fields that tell the state at which they were computed."""


def ask_for_contact_forces(spec: Any) -> None:
    """Add a sensor to a spec for which MuJoCo computes the external forces of all bodies."""
    spec.add_sensor(
        name="asks for cfrc_ext",
        type=mujoco.mjtSensor.mjSENS_FRAMELINACC,
        objtype=mujoco.mjtObj.mjOBJ_BODY,
        objname=spec.worldbody.first_body().name,
    )


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
        if self._runge_kutta:
            self._read = {name: batch.bind(name) for name in READ}
        self._qpos, self._qvel = batch.bind("qpos"), batch.bind("qvel")
        self._warm = batch.bind("qacc_warmstart")
        self._iterations = batch.expand("opt.iterations")
        self._most = int(model.opt.iterations)
        self._dual = model.opt.solver == mujoco.mjtSolver.mjSOL_PGS
        self._dual |= model.opt.noslip_iterations > 0
        self._started, self._after = self._warm.copy(), batch.state.copy()
        self._turned = np.empty((batch.nsim, 1, 3))

    def step(self, count: int) -> None:
        """Advance every simulation by `count` physics steps."""
        if not self._runge_kutta:
            self._batch.step(nstep=count)
            return
        self._flags[:] = self._silent
        if self._dual:
            self._step_noting_start(count)
        else:
            self._batch.step(nstep=count)
        np.copyto(self._after, self._batch.state)
        self._rebuild()
        self._flags[:] = self._asking
        if self._dual:
            self._warm[:] = self._started
        else:
            self._iterations[:] = 0
        try:
            self._batch.forward()
        finally:
            self._iterations[:] = self._most
            self._batch.state[:] = self._after

    def _step_noting_start(self, count: int) -> None:
        """Advance, and keep where the solver starts in the last physics step."""
        if count > 1:
            self._batch.step(nstep=count - 1)
        np.copyto(self._started, self._warm)
        self._batch.step()

    def _rebuild(self) -> None:
        """Write the state at which the derived fields were computed."""
        read, qpos, qvel = self._read, self._qpos, self._qvel
        where, motion = read["xpos"][:, 1], read["cvel"][:, 1]
        qpos[:, :3], qpos[:, 3:7] = where, read["xquat"][:, 1]
        spin = motion[:, :3]
        (wx, wy, wz), (x, y, z) = spin.T, (where - read["subtree_com"][:, 1]).T
        qvel[:, :3] = motion[:, 3:]
        qvel[:, 0] += wy * z - wz * y
        qvel[:, 1] += wz * x - wx * z
        qvel[:, 2] += wx * y - wy * x
        turn = read["xmat"][:, 1].reshape(-1, 3, 3)
        np.matmul(spin[:, None], turn, out=self._turned)
        qvel[:, 3:6] = self._turned[:, 0]
        qpos[:, self._where[0]] = read["actuator_length"] / self._gear
        qvel[:, self._where[1]] = read["actuator_velocity"] / self._gear
