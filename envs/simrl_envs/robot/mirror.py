"""The mirror image of a legged robot: which numbers swap sides, and which change their sign.

A reflection about the robot's plane of symmetry (x and z of its base) swaps left and right legs.
Ordinary vectors lose the sign of y, turning ones (angular velocities, joint axes) those of x and z.
Learners make two samples of one by it (Mittal et al. 2024, "Symmetry Considerations for Learning
Task Symmetric Robot Policies").
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from simrl_envs.robot.task import Task

Image = tuple[list[int], list[float]]
"""Column i of the image is column index[i] of the original times sign[i]."""

VECTORS = {
    "base_velocity_body": (1.0, -1.0, 1.0),
    "base_angular_velocity": (-1.0, 1.0, -1.0),
    "projected_gravity": (1.0, -1.0, 1.0),
    "velocity_command": (1.0, -1.0, -1.0),
}
"""Signs of observation blocks that belong to the base."""
JOINTS = ("joint_offsets", "joint_velocities", "action_share")
"""Blocks with a number for each joint, in the order of the actions."""
FEET = ("foot_forces", "foot_clearances")
"""Blocks with a number for each foot."""
REFLECT = np.array([1.0, -1.0, 1.0])
"""Image of a place; that of an axis has the opposite signs."""
TOLERANCE = 1e-3
"""How far the two sides of a robot may differ [m, rad]."""


def mirror_facts(task: Task) -> dict[str, Any]:
    """Return "mirror": the image of each observation group, and of "action"; {} if there is none.

    Only legged robots whose two sides are alike have one, and only if every block is known here.
    """
    if task.file.system != "quadruped":
        return {}
    joints = _joint_image(task)
    if joints is None:
        return {}
    images: dict[str, Image] = {"action": joints}
    for group, uses in task.file.observations.items():
        index: list[int] = []
        sign: list[float] = []
        for use in uses:
            block = task.groups[group].layout.block(use.name)
            image = _block_image(task, use.term, use.arguments, block.size, joints)
            if image is None:
                return {}
            index += [len(sign) + place for place in image[0]]
            sign += image[1]
        images[group] = (index, sign)
    return {"mirror": images}


def _block_image(task: Task, term: str, arguments: Any, size: int, joints: Image) -> Image | None:
    if term in VECTORS:
        return list(range(size)), list(VECTORS[term])
    if term in JOINTS:
        return joints
    if term in FEET:
        partner = _feet_partners(task, arguments["built"].feet)
        return None if partner is None else (partner, [1.0] * size)
    if term == "height_scan":
        grid = np.arange(size).reshape(arguments["rows"], arguments["columns"])
        return grid[:, ::-1].reshape(-1).tolist(), [1.0] * size
    return None


def _joint_image(task: Task) -> Image | None:
    """Return the partner of each motor's joint, and whether their axes agree in the mirror."""
    model = task.robot.model
    joints = model.actuator_trnid[:, 0]
    data = _nominal(model)
    place, axis = data.xanchor[joints] - data.xpos[_base(model)], data.xaxis[joints]
    index: list[int] = []
    sign: list[float] = []
    for own, turned in zip(place * REFLECT, axis * -REFLECT, strict=True):
        near = np.sqrt(((place - own) ** 2).sum(axis=1)) < TOLERANCE
        found = np.flatnonzero(near & (np.abs(axis @ turned) > 1.0 - TOLERANCE))
        if len(found) != 1:
            return None
        index.append(int(found[0]))
        sign.append(float(np.sign(axis[found[0]] @ turned)))
    return index, sign


def _feet_partners(task: Task, geoms: np.ndarray) -> list[int] | None:
    """Return the partner of each foot by its place in the mirror."""
    model = task.robot.model
    data = _nominal(model)
    place = data.geom_xpos[geoms] - data.xpos[_base(model)]
    gap = np.sqrt(((place[None] - (place * REFLECT)[:, None]) ** 2).sum(axis=2))
    return None if gap.min(axis=1).max() > TOLERANCE else gap.argmin(axis=1).tolist()


def _nominal(model: mujoco.MjModel) -> mujoco.MjData:
    """Return the robot in its nominal pose, facing along x."""
    data = mujoco.MjData(model)
    if model.nkey:
        mujoco.mj_resetDataKeyframe(model, data, 0)
    mujoco.mj_forward(model, data)
    return data


def _base(model: mujoco.MjModel) -> int:
    """Return the body that moves freely."""
    free = np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_FREE)
    return int(model.jnt_bodyid[free[0]])
