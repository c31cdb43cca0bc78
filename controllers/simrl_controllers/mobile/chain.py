"""Jacobians of points on a chain of hinges and slides, and what they do to the points' motion.

MuJoCo tells each joint's axis and anchor in the world; the rest is a few cross products, so many
points of many rows cost little.
"""

from __future__ import annotations

import numba
import numpy as np

Array = np.ndarray


@numba.njit(cache=True, nogil=True)
def point_jacobian(
    point: Array, moved: Array, hinge: Array, axes: Array, anchors: Array, out: Array
) -> None:
    """Write the Jacobian `[6, k]` of a point: linear rows, then angular ones, in the world frame.

    Args:
        point: The point in the world `[3]` [m].
        moved: Whether each joint moves the point's body `[k]` bool.
        hinge: Whether each joint turns, else it slides `[k]` bool.
        axes: Direction of each joint in the world `[k, 3]`.
        anchors: A point on the axis of each joint in the world `[k, 3]` [m].
        out: Where to write `[6, k]`.
    """
    for j in range(len(moved)):
        for i in range(6):
            out[i, j] = 0.0
        if not moved[j]:
            continue
        ax, ay, az = axes[j, 0], axes[j, 1], axes[j, 2]
        if hinge[j]:
            dx, dy, dz = (
                point[0] - anchors[j, 0],
                point[1] - anchors[j, 1],
                point[2] - anchors[j, 2],
            )
            out[0, j] = ay * dz - az * dy
            out[1, j] = az * dx - ax * dz
            out[2, j] = ax * dy - ay * dx
            out[3, j], out[4, j], out[5, j] = ax, ay, az
        else:
            out[0, j], out[1, j], out[2, j] = ax, ay, az


@numba.njit(cache=True, nogil=True)
def point_drift(
    point: Array,
    moved: Array,
    hinge: Array,
    axes: Array,
    anchors: Array,
    speed: Array,
    out: Array,
) -> None:
    """Write the acceleration `[6]` of a point that no joint's acceleration causes: Jdot qdot.

    Each joint's axis turns with all that stand before it, and its anchor moves with them, so the
    rate of a column is found from the motion of what lies below it.  Joints are in the order from
    the base to the hand; `speed` is `[k]` [m/s or rad/s].
    """
    out[:] = 0.0
    velocity = np.zeros(3)
    for j in range(len(moved)):
        if moved[j]:
            _add_velocity(point, hinge[j], axes[j], anchors[j], speed[j], velocity)
    spin, anchor_velocity, lever, lever_rate = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    for j in range(len(moved)):
        if not moved[j]:
            continue
        axis, rate = axes[j], speed[j]
        axis_rate = _cross(spin, axis)
        if not hinge[j]:
            for i in range(3):
                out[i] += axis_rate[i] * rate
            continue
        anchor_velocity[:] = 0.0
        for before in range(j):
            if moved[before]:
                _add_velocity(
                    anchors[j],
                    hinge[before],
                    axes[before],
                    anchors[before],
                    speed[before],
                    anchor_velocity,
                )
        for i in range(3):
            lever[i] = point[i] - anchors[j, i]
            lever_rate[i] = velocity[i] - anchor_velocity[i]
        first, second = _cross(axis_rate, lever), _cross(axis, lever_rate)
        for i in range(3):
            out[i] += (first[i] + second[i]) * rate
            out[3 + i] += axis_rate[i] * rate
            spin[i] += axis[i] * rate


@numba.njit(cache=True, nogil=True)
def _cross(a: Array, b: Array) -> Array:
    result = np.empty(3)
    result[0] = a[1] * b[2] - a[2] * b[1]
    result[1] = a[2] * b[0] - a[0] * b[2]
    result[2] = a[0] * b[1] - a[1] * b[0]
    return result


@numba.njit(cache=True, nogil=True)
def _add_velocity(
    point: Array, hinge: bool, axis: Array, anchor: Array, rate: float, out: Array
) -> None:
    """Add what one joint's rate contributes to the velocity of a point."""
    if not hinge:
        for i in range(3):
            out[i] += axis[i] * rate
        return
    dx, dy, dz = point[0] - anchor[0], point[1] - anchor[1], point[2] - anchor[2]
    out[0] += (axis[1] * dz - axis[2] * dy) * rate
    out[1] += (axis[2] * dx - axis[0] * dz) * rate
    out[2] += (axis[0] * dy - axis[1] * dx) * rate


@numba.njit(cache=True, nogil=True)
def move_points(
    points: Array,
    moved: Array,
    hinge: Array,
    axes: Array,
    anchors: Array,
    speed: Array,
    jacobian: Array,
    drift: Array,
) -> None:
    """Write Jacobian `[n, 6, k]` and drift `[n, 6]` of one point `[n, 3]` of each of n robots."""
    for row in range(len(points)):
        point_jacobian(points[row], moved, hinge, axes[row], anchors[row], jacobian[row])
        point_drift(points[row], moved, hinge, axes[row], anchors[row], speed[row], drift[row])
