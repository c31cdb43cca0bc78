"""Inverse kinematics of the arm, compiled: many poses of the hand, each from a base of its own.

Damped least squares with the joints' limits: every iteration makes up for the pose's error by the
damped inverse of the Jacobian, and leans to the nominal pose by motions that leave the hand where
it is ("A Review of Damped Least Squares Methods for Inverse Kinematics", Buss 2004).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

Array = np.ndarray
DAMPING = 1e-3
"""Square of the damping."""
MOST_STEP = 0.25
"""Largest change of an angle in one iteration [rad]."""
LEAN = 0.02
"""Share of the way to the nominal pose that is made up for in an iteration."""


class Chain(NamedTuple):
    """Hold an arm of hinges: where each link stands in the one before, and what it turns about."""

    place: Array
    """Origin of each joint's link in the link before, last the hand's `[a + 1, 3]` [m]."""
    turn: Array
    """Rotation of the same `[a + 1, 3, 3]`."""
    axis: Array
    """Direction of each joint in its link `[a, 3]`."""
    anchor: Array
    """A point on it, in its link `[a, 3]` [m]."""
    low: Array
    """Smallest angles that are used `[a]` [rad]."""
    high: Array
    """Largest angles that are used `[a]` [rad]."""
    home: Array
    """Nominal angles `[a]` [rad]."""


def read_chain(
    model: Any, joints: Array, base: int, site: int, low: Array, high: Array, home: Array
) -> Chain:
    """Read the chain from a body of the base to a site; ValueError if a joint is no hinge of it."""
    import mujoco

    places, turns, axes, anchors = [], [], [], []
    last = base
    for joint in joints:
        if int(model.jnt_type[joint]) != int(mujoco.mjtJoint.mjJNT_HINGE):
            raise ValueError(f"joint {model.joint(int(joint)).name!r} of the arm is no hinge")
        body = int(model.jnt_bodyid[joint])
        place, turn = _between(model, last, body)
        places.append(place)
        turns.append(turn)
        axes.append(model.jnt_axis[joint].copy())
        anchors.append(model.jnt_pos[joint].copy())
        last = body
    place, turn = _between(model, last, int(model.site_bodyid[site]))
    places.append(place + turn @ model.site_pos[site])
    turns.append(turn @ _matrix(model.site_quat[site]))
    return Chain(
        np.array(places), np.array(turns), np.array(axes), np.array(anchors), low, high, home
    )


def _between(model: Any, above: int, body: int) -> tuple[Array, Array]:
    """Return where a body stands in one above it, with the joints between them at 0."""
    place, turn = np.zeros(3), np.eye(3)
    while body != above:
        if body == 0:
            raise ValueError(f"the arm does not stand on {model.body(above).name!r}")
        own = _matrix(model.body_quat[body])
        place, turn = model.body_pos[body] + own @ place, own @ turn
        body = int(model.body_parentid[body])
    return place, turn


def _matrix(quat: Array) -> Array:
    import mujoco

    out = np.empty(9)
    mujoco.mju_quat2Mat(out, quat)
    return out.reshape(3, 3)


@numba.njit(cache=True, nogil=True)
def solve_arm(
    chain: Chain, bases: Array, places: Array, turns: Array, start: Array, steps: int, close: float
) -> tuple[Array, Array]:
    """Return angles `[m, a]` and what is missing to each pose `[m]` (distance plus angle / 10).

    Args:
        chain: The arm, from the base's body on.
        bases: Poses of the base `[m, 3]`: x, y [m], yaw [rad].
        places: Where the hand shall be `[m, 3]` [m].
        turns: Its rotation matrices `[m, 3, 3]`.
        start: Angles to begin with `[m, a]`.
        steps: Iterations at most.
        close: What may be missing; the first half of the iterations lean on beyond it.
    """
    count, size = start.shape
    result, missing = start.copy(), np.empty(count)
    jacobian, error = np.empty((6, size)), np.empty(6)
    for row in range(count):
        angles = result[row]
        for j in range(size):
            angles[j] = min(max(angles[j], chain.low[j]), chain.high[j])
        for step in range(steps):
            _measure(chain, bases[row], places[row], turns[row], angles, jacobian, error)
            far = length_of(error[:3]) + 0.1 * length_of(error[3:])
            missing[row] = far
            if step == steps - 1 or (far < 0.25 * close and step > steps // 2):
                break
            square = jacobian @ jacobian.T
            for i in range(6):
                square[i, i] += DAMPING
            lean = LEAN * (chain.home - angles)
            move = lean + jacobian.T @ np.linalg.solve(square, error - jacobian @ lean)
            scale = max(np.abs(move).max() / MOST_STEP, 1.0)
            for j in range(size):
                angles[j] = min(max(angles[j] + move[j] / scale, chain.low[j]), chain.high[j])
    return result, missing


@numba.njit(cache=True, nogil=True)
def length_of(vector: Array) -> float:
    """Return the length of a vector."""
    total = 0.0
    for value in vector:
        total += value * value
    return float(np.sqrt(total))


@numba.njit(cache=True, nogil=True)
def _measure(
    chain: Chain,
    base: Array,
    place: Array,
    turn: Array,
    angles: Array,
    jacobian: Array,
    error: Array,
) -> None:
    """Write the hand's error `[6]` and Jacobian `[6, a]` in the world frame."""
    size = len(angles)
    cos, sin = np.cos(base[2]), np.sin(base[2])
    rotation = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    at = np.array([base[0], base[1], 0.0])
    axes, anchors = np.empty((size, 3)), np.empty((size, 3))
    for j in range(size):
        at = at + rotation @ chain.place[j]
        rotation = rotation @ chain.turn[j]
        axes[j] = rotation @ chain.axis[j]
        anchors[j] = at + rotation @ chain.anchor[j]
        rotation = rotation @ _about(chain.axis[j], angles[j])
        at = anchors[j] - rotation @ chain.anchor[j]
    at = at + rotation @ chain.place[size]
    rotation = rotation @ chain.turn[size]
    for j in range(size):
        lever = at - anchors[j]
        jacobian[0, j] = axes[j, 1] * lever[2] - axes[j, 2] * lever[1]
        jacobian[1, j] = axes[j, 2] * lever[0] - axes[j, 0] * lever[2]
        jacobian[2, j] = axes[j, 0] * lever[1] - axes[j, 1] * lever[0]
        jacobian[3:, j] = axes[j]
    error[:3] = place - at
    _log(turn @ rotation.T, error[3:])


@numba.njit(cache=True, nogil=True)
def _about(axis: Array, angle: float) -> Array:
    """Return the rotation about a unit axis."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y, z = axis[0], axis[1], axis[2]
    rest = 1.0 - cos
    return np.array(
        [
            [cos + x * x * rest, x * y * rest - z * sin, x * z * rest + y * sin],
            [y * x * rest + z * sin, cos + y * y * rest, y * z * rest - x * sin],
            [z * x * rest - y * sin, z * y * rest + x * sin, cos + z * z * rest],
        ]
    )


@numba.njit(cache=True, nogil=True)
def _log(rotation: Array, out: Array) -> None:
    """Write the rotation vector of a matrix, right but for its axis near half a turn."""
    out[0] = 0.5 * (rotation[2, 1] - rotation[1, 2])
    out[1] = 0.5 * (rotation[0, 2] - rotation[2, 0])
    out[2] = 0.5 * (rotation[1, 0] - rotation[0, 1])
    sine = length_of(out)
    cosine = 0.5 * (rotation[0, 0] + rotation[1, 1] + rotation[2, 2] - 1.0)
    angle = np.arctan2(sine, cosine)
    if sine > 1e-9:
        out *= angle / sine
    elif cosine < 0.0:
        # Half a turn: any column of R + I is along the axis.
        best = 0
        for i in range(1, 3):
            if rotation[i, i] > rotation[best, best]:
                best = i
        for i in range(3):
            out[i] = rotation[i, best] + (1.0 if i == best else 0.0)
        out *= angle / length_of(out)
