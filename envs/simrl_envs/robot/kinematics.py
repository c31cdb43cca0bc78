"""Forward kinematics of a chain of hinges for many rows at once, without MuJoCo's data."""

from __future__ import annotations

from typing import Any

import numpy as np


def site_poses(model: Any, site: str, qpos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a site's positions `[M, 3]` and quaternions wxyz `[M, 4]` in the world.

    Args:
        model: `mujoco.MjModel`; all joints between the world and the site are hinges.
        site: Name of the site.
        qpos: Configurations `[M, nq]`.
    """
    index = model.site(site).id
    body, chain = int(model.site_bodyid[index]), []
    while body:
        chain.append(body)
        body = int(model.body_parentid[body])
    count = len(qpos)
    place, turn = np.zeros((count, 3)), np.tile([1.0, 0.0, 0.0, 0.0], (count, 1))
    for body in reversed(chain):
        place = place + rotated(turn, model.body_pos[body])
        turn = product(turn, model.body_quat[body])
        first, number = int(model.body_jntadr[body]), int(model.body_jntnum[body])
        for joint in range(first, first + number):
            angle = qpos[:, model.jnt_qposadr[joint]] - model.qpos0[model.jnt_qposadr[joint]]
            anchor = place + rotated(turn, model.jnt_pos[joint])
            turn = product(turn, about(model.jnt_axis[joint], angle))
            place = anchor - rotated(turn, model.jnt_pos[joint])
    place = place + rotated(turn, model.site_pos[index])
    return place, product(turn, model.site_quat[index])


def about(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Return the quaternions `[M, 4]` of turns by `angle` `[M]` [rad] about a unit axis `[3]`."""
    half = 0.5 * angle[..., None]
    return np.concatenate([np.cos(half), np.sin(half) * axis], axis=-1)


def product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the product of quaternions wxyz `[..., 4]`: the turn `second`, then `first`."""
    w1, x1, y1, z1 = (first[..., index] for index in range(4))
    w2, x2, y2, z2 = (second[..., index] for index in range(4))
    return np.stack(
        [
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        ],
        axis=-1,
    )


def rotated(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Turn vectors `[..., 3]` by unit quaternions wxyz `[..., 4]`."""
    w, axis = quaternion[..., :1], quaternion[..., 1:]
    twice = 2.0 * np.cross(axis, vector)
    result: np.ndarray = vector + w * twice + np.cross(axis, twice)
    return result


def angle_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the angle [rad] `[...]`, 0 to pi, between orientations wxyz `[..., 4]`."""
    cosine = np.abs((first * second).sum(axis=-1))
    sine = np.sqrt(np.maximum(1.0 - np.minimum(cosine, 1.0) ** 2, 0.0))
    angle: np.ndarray = 2.0 * np.arctan2(sine, cosine)
    return angle
