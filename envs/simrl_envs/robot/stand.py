"""Stand a robot on the ground in its nominal pose, and work out the torques that hold it there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simrl_envs.robot.parts import Parts


@dataclass(frozen=True)
class Stand:
    """Hold what is to be known of the nominal pose."""

    home: np.ndarray
    """Configuration `[nq]`."""
    rest: np.ndarray
    """Torques that hold it [N m] `[nu]`."""
    overlaps: tuple[tuple[int, int], ...]
    """Bodies that touch each other there: neighbours whose shapes overlap."""


def nominal_stand(spec: Any, model: Any, parts: Parts) -> Stand:
    """Stand the robot on the ground in its nominal pose."""
    import mujoco

    data = mujoco.MjData(model)
    joints = [spec.joint(name).id for name in parts.joints]
    data.qpos[model.jnt_qposadr[joints]] = parts.pose
    feet = [spec.geom(name).id for name in parts.feet]
    if parts.floating:
        data.qpos[:7] = 0, 0, 0, 1, 0, 0, 0
        mujoco.mj_kinematics(model, data)
        lowest = min(data.geom_xpos[g, 2] - _below(model, g, data) for g in feet or _solid(model))
        data.qpos[2] = -lowest
    mujoco.mj_forward(model, data)
    touching = model.geom_bodyid[data.contact.geom]
    return Stand(
        home=data.qpos.copy(),
        rest=_rest_torque(model, data, feet)[model.jnt_dofadr[joints]],
        overlaps=tuple(sorted({tuple(sorted(pair)) for pair in touching.tolist() if all(pair)})),
    )


def _rest_torque(model: Any, data: Any, feet: list[int]) -> np.ndarray:
    """Return the generalised force `[nv]` of the joints that holds the pose.

    Feet carry the weight with the smallest forces (in the least-squares sense) that balance it.
    """
    import mujoco

    gravity = data.qfrc_bias.copy()
    if not feet:
        return gravity
    jacobian = np.zeros((len(feet), 3, model.nv))
    for row, foot in enumerate(feet):
        point = data.geom_xpos[foot] - [0.0, 0.0, _below(model, foot, data)]
        mujoco.mj_jac(model, data, jacobian[row], None, point, int(model.geom_bodyid[foot]))
    lift = jacobian[:, 2]  # vertical forces alone
    force = np.linalg.lstsq(lift[:, :6].T, gravity[:6], rcond=None)[0]
    return gravity - lift.T @ force


def _solid(model: Any) -> list[int]:
    return np.flatnonzero(model.geom_contype | model.geom_conaffinity).tolist() or [0]


def _below(model: Any, geom: int, data: Any) -> float:
    """Return how far a geom reaches below its centre [m]: spheres exactly, others by their box."""
    import mujoco

    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_SPHERE:
        return float(model.geom_size[geom, 0])
    centre, half = model.geom_aabb[geom, :3], model.geom_aabb[geom, 3:]
    down = data.geom_xmat[geom].reshape(3, 3)[2]
    return float(np.abs(down) @ half - down @ centre)
