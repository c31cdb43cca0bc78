"""Compute what a servo needs of a robot, for many rows at once: inertia, forces, Jacobians.

The model is a copy built from the environment's MJCF, stepped by nobody: only its equations of
motion are evaluated, in MuJoCo's native batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from simrl.core import ContinuousActions, EnvSpec

Array = np.ndarray


@dataclass(frozen=True)
class Forces:
    """Hold the equations of motion of n rows: M qacc + bias = what the motors give."""

    mass: Array
    """Joint-space inertia of the driven joints `[n, nu, nu]`."""
    bias: Array
    """Coriolis, centrifugal, gravity, spring and damper forces to be made up for `[n, nu]`."""


@dataclass(frozen=True)
class SitePose:
    """Hold where a site of n rows is and how the driven joints move it, in the world frame."""

    position: Array
    """Position `[n, 3]` [m]."""
    rotation: Array
    """Rotation matrix, site to world `[n, 3, 3]`."""
    jacobian: Array
    """Linear rows, then angular ones `[n, 6, nu]`."""


class RobotTerms:
    """Evaluate the equations of motion of a robot whose motors drive one joint each.

    Attributes:
        size: Number of motors nu.
        motors: Which actions they are `[nu]`; a mobile robot's others are its base and gripper.
        joints: Name of the joint that each motor drives.
        home: Angles of the keyframe "home", else those of the model `[nu]`.
        low, high: Range of each joint, infinite where it is not limited `[nu]`.
    """

    def __init__(self, spec: EnvSpec) -> None:
        """Build the model of `spec.physics["mjcf"]`; ValueError says what is missing."""
        self.model = load_model(spec)
        self._id, self._qpos_slice, self._qvel_slice = spec.id, *_state_parts(spec, self.model)
        self.motors = _motors(spec, self.model)
        joints, self.gear = _driven_joints(spec, self.model, self.motors)
        self.qpos_index = self.model.jnt_qposadr[joints].copy()
        self.qvel_index = self.model.jnt_dofadr[joints].copy()
        self.joints = [self.model.joint(int(joint)).name for joint in joints]
        self.size = len(joints)
        limited = self.model.jnt_limited[joints].astype(bool)
        self.low = np.where(limited, self.model.jnt_range[joints, 0], -np.inf)
        self.high = np.where(limited, self.model.jnt_range[joints, 1], np.inf)
        self._home_qpos = self._find_home()
        self.home = self._home_qpos[self.qpos_index]
        self._batch: Any = None
        self._dense = _dense_index(self.model)

    def split(self, state: Tensor) -> tuple[Array, Array]:
        """Return qpos `[n, nq]` and qvel `[n, nv]`; ValueError names a row that is not finite."""
        rows = state.numpy()
        qpos, qvel = rows[:, self._qpos_slice], rows[:, self._qvel_slice]
        for name, value in (("qpos", qpos), ("qvel", qvel)):
            if not np.isfinite(value).all():
                row, index = np.argwhere(~np.isfinite(value))[0]
                raise ValueError(
                    f"{self._id}: row {row}: {name}[{index}] of the state is {value[row, index]}"
                )
        return qpos, qvel

    def driven(self, qpos: Array, qvel: Array) -> tuple[Array, Array]:
        """Return angles and speeds of the driven joints, each `[n, nu]`."""
        return qpos[:, self.qpos_index], qvel[:, self.qvel_index]

    def forces(self, qpos: Array, qvel: Array) -> Forces:
        """Return inertia and bias forces of the driven joints at `[n, nq]`, `[n, nv]`."""
        batch = self._evaluate(qpos, qvel)
        count, nv = len(qpos), self.model.nv
        row, column = self._dense
        mass = np.zeros((count, nv, nv))
        sparse = batch.bind("M")[:count]
        mass[:, row, column] = sparse
        mass[:, column, row] = sparse
        bias = batch.bind("qfrc_bias")[:count] - batch.bind("qfrc_passive")[:count]
        own = self.qvel_index
        return Forces(mass[:, own[:, None], own], bias[:, own])

    def gravity(self, qpos: Array) -> Array:
        """Return the forces that hold the robot still `[n, nu]`."""
        batch = self._evaluate(qpos, np.zeros((len(qpos), self.model.nv)))
        count = len(qpos)
        bias = batch.bind("qfrc_bias")[:count] - batch.bind("qfrc_passive")[:count]
        result: Array = bias[:, self.qvel_index]
        return result

    def site(self, qpos: Array, name: str) -> SitePose:
        """Return pose and Jacobian of a site; ValueError lists the sites that there are."""
        index = self.site_id(name)
        batch = self._evaluate(qpos, np.zeros((len(qpos), self.model.nv)))
        count = len(qpos)
        position = batch.bind("site_xpos")[:count, index].copy()
        rotation = batch.bind("site_xmat")[:count, index].reshape(count, 3, 3).copy()
        body = int(self.model.site_bodyid[index])
        linear, angular = batch.jac(body, position, ids=np.arange(count))
        jacobian = np.concatenate([linear, angular], axis=1)[:, :, self.qvel_index]
        return SitePose(position, rotation, jacobian)

    def site_id(self, name: str) -> int:
        """Return the number of a site; ValueError lists the valid names."""
        names = [self.model.site(index).name for index in range(self.model.nsite)]
        if name not in names:
            valid = ", ".join(names) or "none"
            raise ValueError(f"{self._id}: the model has no site {name!r}; its sites are {valid}")
        return names.index(name)

    def with_driven(self, angles: Array) -> Array:
        """Return configurations `[n, nq]` with these driven angles `[n, nu]`, the rest at home."""
        qpos = np.repeat(self._home_qpos[None], len(angles), axis=0)
        qpos[:, self.qpos_index] = angles
        return qpos

    def home_inertia(self) -> Array:
        """Return the inertia that each motor feels at home, the others hanging free `[nu]`.

        It is less than the diagonal of M: where axes are nearly parallel, a motor mostly turns the
        links beyond it against each other, and gains for the diagonal would be unstable.
        """
        mass = self.forces(self._home_qpos[None], np.zeros((1, self.model.nv))).mass[0]
        result: Array = 1.0 / np.diagonal(np.linalg.inv(mass))
        return result

    def _evaluate(self, qpos: Array, qvel: Array) -> Any:
        """Compute positions and velocities' terms in the first rows of the batch."""
        import mujoco
        from mujoco.batch import Batch

        count = len(qpos)
        if self._batch is None or self._batch.nsim < count:
            self._batch = Batch(self.model, count, 1)
            for name in ("M", "qfrc_bias", "qfrc_passive", "site_xpos", "site_xmat"):
                self._batch.bind(name)
        batch = self._batch
        batch.bind("qpos")[:count] = qpos
        batch.bind("qvel")[:count] = qvel
        batch.forward(ids=np.arange(count), stage=mujoco.mjtStage.mjSTAGE_VEL)
        return batch

    def _find_home(self) -> Array:
        names = [self.model.key(index).name for index in range(self.model.nkey)]
        if "home" in names:
            home: Array = self.model.key_qpos[names.index("home")].copy()
            return home
        default: Array = self.model.qpos0.copy()
        return default


def effector_site(spec: EnvSpec, site: str) -> str:
    """Return `site`, or where it is "" the end effector that the environment names."""
    return site or str(spec.physics.get("end_effector") or "end_effector")


def load_model(spec: EnvSpec) -> Any:
    """Compile `spec.physics["mjcf"]`, XML text or the path of a file, as an `MjModel`."""
    try:
        import mujoco
    except ImportError as error:
        raise ImportError("servo control needs MuJoCo: pip install 'simrl[robots]'") from error
    mjcf = spec.physics.get("mjcf")
    if not mjcf:
        raise ValueError(f"{spec.id}: servo control needs a robot: spec.physics has no 'mjcf'")
    if str(mjcf).lstrip().startswith("<"):
        return mujoco.MjModel.from_xml_string(mjcf)
    if not Path(mjcf).is_file():
        raise ValueError(f"{spec.id}: there is no model file {mjcf}")
    return mujoco.MjModel.from_xml_path(str(mjcf))


def _state_parts(spec: EnvSpec, model: Any) -> tuple[slice, slice]:
    parts = spec.physics.get("state", {})
    result = []
    for name, size in (("qpos", model.nq), ("qvel", model.nv)):
        if name not in parts:
            raise ValueError(
                f"{spec.id}: the state has no part {name!r}; its parts are {', '.join(parts)}"
            )
        where = parts[name]
        if where.stop - where.start != size:
            raise ValueError(
                f"{spec.id}: the part {name!r} of the state has {where.stop - where.start} "
                f"numbers, and the model has {size}"
            )
        result.append(where)
    return result[0], result[1]


def _motors(spec: EnvSpec, model: Any) -> Array:
    """Return which motors are driven `[nu]`: all, or on a mobile base those of the arm."""
    actions = spec.actions
    if not isinstance(actions, ContinuousActions) or actions.size != model.nu:
        raise ValueError(f"{spec.id}: the actions must be the {model.nu} motors of the model")
    if "base_qpos" not in spec.physics:
        return np.arange(model.nu)
    names = [model.actuator(index).name for index in range(model.nu)]
    return np.array([names.index(name) for name in spec.physics["joints"]], np.int64)


def _driven_joints(spec: EnvSpec, model: Any, motors: Array) -> tuple[Array, Array]:
    """Return the joint of each motor and its gear, each `[nu]`; all must be torque motors."""
    import mujoco

    for index in motors:
        name = model.actuator(int(index)).name or str(index)
        if model.actuator_trntype[index] != mujoco.mjtTrn.mjTRN_JOINT:
            raise ValueError(f"{spec.id}: motor {name!r} drives no joint")
        if model.actuator_biastype[index] != mujoco.mjtBias.mjBIAS_NONE:
            raise ValueError(
                f"{spec.id}: motor {name!r} is a servo of its own; servo control needs motors "
                "that take forces (where the task has the option, control=torque)"
            )
    joints = model.actuator_trnid[motors, 0].copy()
    types = model.jnt_type[joints]
    single = (types == mujoco.mjtJoint.mjJNT_HINGE) | (types == mujoco.mjtJoint.mjJNT_SLIDE)
    if not single.all():
        bad = model.joint(int(joints[np.flatnonzero(~single)[0]])).name
        raise ValueError(f"{spec.id}: joint {bad!r} has more than one degree of freedom")
    return joints, model.actuator_gear[motors, 0] * model.actuator_gainprm[motors, 0]


def _dense_index(model: Any) -> tuple[Array, Array]:
    """Return row and column of each number of MuJoCo's sparse inertia `[nC]`."""
    rows = np.repeat(np.arange(model.nv), model.M_rownnz)
    return rows, model.M_colind.copy()
