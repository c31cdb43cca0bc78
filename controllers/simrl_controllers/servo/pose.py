"""Compare poses: quaternions (w, x, y, z) and rotation vectors, for many rows at once."""

from __future__ import annotations

import numpy as np


def quat_multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the Hamilton product of quaternions `[..., 4]`."""
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def quat_conjugate(q: np.ndarray) -> np.ndarray:
    """Return the inverse rotations of unit quaternions `[..., 4]`."""
    return q * np.array([1.0, -1.0, -1.0, -1.0])


def quat_log(q: np.ndarray) -> np.ndarray:
    """Return the rotation vectors `[..., 3]` [rad] of unit quaternions, the short way round."""
    q = np.where(q[..., :1] < 0.0, -q, q)
    norm = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(norm, q[..., :1])
    # Near no rotation, angle / norm tends to 2.
    small = norm < 1e-8
    factor = np.where(small, 2.0, angle / np.where(small, 1.0, norm))
    return factor * q[..., 1:]


def quat_of_matrix(m: np.ndarray) -> np.ndarray:
    """Return unit quaternions `[..., 4]` of rotation matrices `[..., 3, 3]`.

    Each of the four numbers is safe to divide by where it is the largest, so the largest is taken
    in each row ("Quaternion from Rotation Matrix", Shepperd 1978).
    """
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    diagonal = np.stack([m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]], axis=-1)
    squares = np.concatenate(
        [(1.0 + trace)[..., None], 1.0 + 2.0 * diagonal - trace[..., None]], axis=-1
    )
    wx, wy, wz = (
        m[..., 2, 1] - m[..., 1, 2],
        m[..., 0, 2] - m[..., 2, 0],
        m[..., 1, 0] - m[..., 0, 1],
    )
    xy, xz, yz = (
        m[..., 1, 0] + m[..., 0, 1],
        m[..., 0, 2] + m[..., 2, 0],
        m[..., 2, 1] + m[..., 1, 2],
    )
    # Row k of the table is 4 q_k q.
    table = np.stack(
        [
            np.stack([squares[..., 0], wx, wy, wz], axis=-1),
            np.stack([wx, squares[..., 1], xy, xz], axis=-1),
            np.stack([wy, xy, squares[..., 2], yz], axis=-1),
            np.stack([wz, xz, yz, squares[..., 3]], axis=-1),
        ],
        axis=-2,
    )
    best = squares.argmax(axis=-1)
    q = np.take_along_axis(table, best[..., None, None], axis=-2)[..., 0, :]
    result: np.ndarray = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return result


def rotation_error(target: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Return the world-frame rotation vector `[n, 3]` from matrices `[n, 3, 3]` to `[n, 4]`."""
    return quat_log(quat_multiply(target, quat_conjugate(quat_of_matrix(rotation))))
