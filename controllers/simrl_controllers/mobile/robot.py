"""The controllers' own copy of a mobile manipulator: where its parts are and how joints move them.

Only the joints of base and arm count here; fingers, drawers and objects are part of the model and
stand where the state says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simrl.core import EnvSpec
from simrl_controllers.mobile.chain import move_points
from simrl_controllers.mobile.facts import MobileFacts
from simrl_controllers.servo.terms import load_model

Array = np.ndarray
FIELDS = [
    "qpos",
    "qvel",
    "M",
    "qfrc_bias",
    "qfrc_passive",
    "xaxis",
    "xanchor",
    "site_xpos",
    "site_xmat",
]
"""What is read of each evaluation."""


@dataclass(frozen=True)
class Motion:
    """Hold the equations of motion and the geometry of n rows; k joints of base and arm."""

    mass: Array
    """Joint-space inertia `[n, k, k]`."""
    bias: Array
    """Coriolis, centrifugal, gravity, spring and damper forces to be made up for `[n, k]`."""
    speed: Array
    """Speeds of the joints `[n, k]`."""
    axes: Array
    """Direction of each joint in the world `[n, k, 3]`."""
    anchors: Array
    """A point on the axis of each joint in the world `[n, k, 3]` [m]."""
    sites: Array
    """Where all sites are `[n, nsite, 3]` [m]."""
    turns: Array
    """Rotation matrices of all sites, site to world `[n, nsite, 3, 3]`."""


class MobileRobot:
    """Evaluate the motion of base and arm, for many rows at once.

    Attributes:
        model: The compiled model; contacts are off, for nothing here steps it.
        facts: What the environment tells of it.
        qpos, qvel: Where the joints of base, then arm, stand in qpos and qvel `[k]`.
        hinge: Which of them turn `[k]`; the others slide.
        moved: Whether each joint moves each body `[nbody, k]`.
    """

    def __init__(self, spec: EnvSpec) -> None:
        """Build the model of `spec.physics["mjcf"]`; ValueError says what is missing."""
        import mujoco

        self.model = load_model(spec)
        self.model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
        self.facts = MobileFacts.read(spec, self.model)
        model, joints = self.model, self.facts.joint_ids
        self.qpos = model.jnt_qposadr[joints].copy()
        self.qvel = model.jnt_dofadr[joints].copy()
        self._joints = joints
        self.hinge = model.jnt_type[joints] == int(mujoco.mjtJoint.mjJNT_HINGE)
        self.moved = _moved(model, joints)
        self.size = len(joints)
        self._rows = np.repeat(np.arange(model.nv), model.M_rownnz)
        self._columns = model.M_colind.copy()
        self._batch: Any = None

    def evaluate(self, qpos: Array, qvel: Array | None = None) -> Motion:
        """Return the motion of rows `[n, nq]` and `[n, nv]`; None stands still."""
        import mujoco

        count, model = len(qpos), self.model
        speed = np.zeros((count, model.nv)) if qvel is None else qvel
        batch = self._room(count)
        batch.bind("qpos")[:count] = qpos
        batch.bind("qvel")[:count] = speed
        batch.forward(ids=np.arange(count), stage=mujoco.mjtStage.mjSTAGE_VEL)
        mass = np.zeros((count, model.nv, model.nv))
        sparse = batch.bind("M")[:count]
        mass[:, self._rows, self._columns] = sparse
        mass[:, self._columns, self._rows] = sparse
        own = self.qvel
        bias = batch.bind("qfrc_bias")[:count, own] - batch.bind("qfrc_passive")[:count, own]
        return Motion(
            mass=mass[:, own[:, None], own],
            bias=bias,
            speed=speed[:, own],
            axes=batch.bind("xaxis")[:count, self._joints],
            anchors=batch.bind("xanchor")[:count, self._joints],
            sites=batch.bind("site_xpos")[:count].copy(),
            turns=batch.bind("site_xmat")[:count].reshape(count, -1, 3, 3).copy(),
        )

    def site_jacobian(self, motion: Motion, site: int) -> tuple[Array, Array]:
        """Return the Jacobian `[n, 6, k]` of a site and its drift Jdot qdot `[n, 6]`."""
        count = len(motion.mass)
        jacobian, drift = np.empty((count, 6, self.size)), np.empty((count, 6))
        moved = self.moved[self.model.site_bodyid[site]]
        move_points(
            motion.sites[:, site], moved, self.hinge, motion.axes, motion.anchors, motion.speed,
            jacobian, drift,
        )  # fmt: skip
        return jacobian, drift

    def has_joint(self, name: str) -> bool:
        """Tell whether the model has a joint of this name."""
        model = self.model
        return name in {model.joint(index).name for index in range(model.njnt)}

    def axis(self, count: int, joint: int) -> Array:
        """Return the direction of any joint `[count, 3]`, world frame, in the rows seen last."""
        axis: Array = self._room(count).bind("xaxis")[:count, joint].copy()
        return axis

    def _room(self, count: int) -> Any:
        from mujoco.batch import Batch

        if self._batch is None or self._batch.nsim < count:
            self._batch = Batch(self.model, count, 1)
            # What is bound after an evaluation holds zeros until the next one.
            for name in FIELDS:
                self._batch.bind(name)
        return self._batch


def _moved(model: Any, joints: Array) -> Array:
    """Tell which of the joints move each body `[nbody, k]`."""
    result = np.zeros((model.nbody, len(joints)), bool)
    for body in range(model.nbody):
        above = body
        while above:
            result[body] |= model.jnt_bodyid[joints] == above
            above = int(model.body_parentid[above])
    return result
