"""Make up for torques that act late: look ahead over those that are on their way.

Each torque was computed together with the accelerations that it shall cause.  The state in which
the next torque will act is the present one, moved by the accelerations of all torques that were
sent and do not act yet.  So the controller lives in the time at which its torques act.
"""

from __future__ import annotations

import numpy as np

from simrl_controllers.legged.kernels.compile import kernel

Array = np.ndarray


def steps_late(delay: float, dt: float) -> int:
    """Return after how many steps of `dt` [s] a torque acts that is `delay` [s] late.

    Raises:
        ValueError: The delay is negative or infinite.
    """
    if not 0.0 <= delay < np.inf:
        raise ValueError(f"delay must be at least 0, got {delay}")
    return round(delay / dt)


@kernel
def look_ahead(queue: Array, dt: float, qpos: Array, qvel: Array) -> None:
    """Move states along over the accelerations that are on their way, in place.

    As MuJoCo integrates: velocities first, then positions with the new velocities.

    Args:
        queue: Accelerations, those that act next first `[n, d, nv]`.
        dt: Length of each step [s].
        qpos: Configurations of a floating base with hinges `[n, nq]`.
        qvel: Velocities `[n, nv]`.
    """
    for i in range(qpos.shape[0]):
        for step in range(queue.shape[1]):
            for j in range(qvel.shape[1]):
                qvel[i, j] += dt * queue[i, step, j]
            for k in range(3):
                qpos[i, k] += dt * qvel[i, k]
            for j in range(6, qvel.shape[1]):
                qpos[i, 1 + j] += dt * qvel[i, j]
            turn_quaternion(qpos[i, 3:7], qvel[i, 3:6], dt, False)


@kernel
def queue_up(queue: Array, acceleration: Array) -> None:
    """Put accelerations `[n, nv]` at the end of each row's queue `[n, d, nv]`, in place."""
    late = queue.shape[1]
    for i in range(queue.shape[0]):
        for step in range(late - 1):
            queue[i, step] = queue[i, step + 1]
        if late:
            queue[i, late - 1] = acceleration[i]


@kernel
def turn_quaternion(quaternion: Array, rate: Array, dt: float, world: bool) -> None:
    """Turn an attitude wxyz by rate times dt about the body's axes, or about the world's.

    Args:
        quaternion: Body to world `[4]`, changed and normalised.
        rate: Angular velocity [rad/s] `[3]`.
        dt: Length of the step [s].
        world: Whether `rate` is in the world's axes.
    """
    angle = dt * np.sqrt(rate[0] ** 2 + rate[1] ** 2 + rate[2] ** 2)
    # sin(angle / 2) / angle, times dt.
    factor = 0.5 * dt
    if angle > 1e-9:
        factor = dt * np.sin(0.5 * angle) / angle
    a, b, c, d = np.cos(0.5 * angle), factor * rate[0], factor * rate[1], factor * rate[2]
    w, x, y, z = quaternion[0], quaternion[1], quaternion[2], quaternion[3]
    sign = -1.0 if world else 1.0
    first = w * a - x * b - y * c - z * d
    second = w * b + x * a + sign * (y * d - z * c)
    third = w * c + y * a + sign * (z * b - x * d)
    fourth = w * d + z * a + sign * (x * c - y * b)
    norm = 1.0 / np.sqrt(first**2 + second**2 + third**2 + fourth**2)
    quaternion[0], quaternion[1] = first * norm, second * norm
    quaternion[2], quaternion[3] = third * norm, fourth * norm
