"""Turn and place vectors of three numbers, and the bodies of a tree, in compiled code."""

from __future__ import annotations

import numpy as np

from simrl_controllers.legged.kernels.compile import kernel
from simrl_controllers.legged.tree import Tree


@kernel
def cross(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """Write the cross product of two vectors `[3]`."""
    x = a[1] * b[2] - a[2] * b[1]
    y = a[2] * b[0] - a[0] * b[2]
    out[2] = a[0] * b[1] - a[1] * b[0]
    out[0] = x
    out[1] = y


@kernel
def apply(matrix: np.ndarray, vector: np.ndarray, out: np.ndarray) -> None:
    """Write matrix times vector, `[3, 3]` and `[3]`."""
    for i in range(3):
        out[i] = matrix[i, 0] * vector[0] + matrix[i, 1] * vector[1] + matrix[i, 2] * vector[2]


@kernel
def multiply(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """Write the product of two matrices `[3, 3]`."""
    for i in range(3):
        for j in range(3):
            out[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j]


@kernel
def rotate_axis(axis: np.ndarray, angle: float, out: np.ndarray) -> None:
    """Write the rotation about a unit axis (Rodrigues)."""
    c, s = np.cos(angle), np.sin(angle)
    x, y, z = axis[0], axis[1], axis[2]
    t = 1.0 - c
    out[0, 0], out[1, 1], out[2, 2] = c + x * x * t, c + y * y * t, c + z * z * t
    out[0, 1], out[1, 0] = x * y * t - z * s, x * y * t + z * s
    out[0, 2], out[2, 0] = x * z * t + y * s, x * z * t - y * s
    out[1, 2], out[2, 1] = y * z * t - x * s, y * z * t + x * s


@kernel
def quaternion_matrix(q: np.ndarray, out: np.ndarray) -> None:
    """Write the rotation matrix of a quaternion wxyz, normalised first."""
    norm = np.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    w, x, y, z = q[0] / norm, q[1] / norm, q[2] / norm, q[3] / norm
    out[0, 0], out[1, 1] = 1 - 2 * (y * y + z * z), 1 - 2 * (x * x + z * z)
    out[2, 2] = 1 - 2 * (x * x + y * y)
    out[0, 1], out[1, 0] = 2 * (x * y - w * z), 2 * (x * y + w * z)
    out[0, 2], out[2, 0] = 2 * (x * z + w * y), 2 * (x * z - w * y)
    out[1, 2], out[2, 1] = 2 * (y * z - w * x), 2 * (y * z + w * x)


@kernel
def place_body(
    tree: Tree,
    i: int,
    angle: float,
    turn: np.ndarray,
    place: np.ndarray,
    pivot: np.ndarray,
    axis: np.ndarray,
) -> None:
    """Write body i's rotation, origin, hinge and axis, those of the body above being there.

    Args:
        tree: The robot.
        i: The body, from 1 on.
        angle: Of its hinge, as MuJoCo counts it [rad].
        turn: Rotations `[bodies, 3, 3]`.
        place: Origins `[bodies, 3]` [m].
        pivot: Points on the hinges `[bodies, 3]` [m].
        axis: Directions of the hinges `[bodies, 3]`.
    """
    step, own, arm = np.empty((3, 3)), np.empty((3, 3)), np.empty(3)
    above = tree.parent[i]
    multiply(turn[above], tree.turn[i], step)
    apply(step, tree.axis[i], axis[i])
    apply(turn[above], tree.offset[i], arm)
    place[i] = place[above] + arm
    apply(step, tree.anchor[i], arm)
    pivot[i] = place[i] + arm
    rotate_axis(tree.axis[i], angle - tree.zero[i], own)
    multiply(step, own, turn[i])
    apply(turn[i], tree.anchor[i], arm)
    place[i] = pivot[i] - arm
