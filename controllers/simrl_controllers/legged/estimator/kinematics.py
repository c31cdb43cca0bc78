"""Compute where the feet are and how they move, seen from the base."""

from __future__ import annotations

import numpy as np

from simrl_controllers.legged.kernels.algebra import apply, cross, place_body
from simrl_controllers.legged.kernels.compile import kernel
from simrl_controllers.legged.tree import Tree


@kernel
def leg_kinematics(
    tree: Tree,
    q: np.ndarray,
    qd: np.ndarray,
    feet: np.ndarray,
    speed: np.ndarray,
    spin: np.ndarray,
    jacobian: np.ndarray,
) -> None:
    """Write place, velocity, spin and Jacobian of each foot's centre in the base's axes.

    Args:
        tree: The robot.
        q: Angles of the hinges in the model's order [rad] `[nj]`.
        qd: Their speeds [rad/s] `[nj]`.
        feet: Written: from the base's origin [m] `[4, 3]`.
        speed: Written: relative to the base [m/s] `[4, 3]`.
        spin: Written: angular velocity of the foot's body relative to the base [rad/s] `[4, 3]`.
        jacobian: Written: of the foot's own joints from the hip on [m] `[4, 3, 3]`.
    """
    count = tree.parent.shape[0]
    turn, place = np.empty((count, 3, 3)), np.empty((count, 3))
    pivot, axis = np.empty((count, 3)), np.empty((count, 3))
    arm = np.empty(3)
    turn[0] = np.eye(3)
    place[0] = 0.0
    for i in range(1, count):
        place_body(tree, i, q[i - 1], turn, place, pivot, axis)
    for leg in range(feet.shape[0]):
        body = tree.foot_body[leg]
        apply(turn[body], tree.foot_offset[leg], arm)
        feet[leg] = place[body] + arm
        speed[leg] = 0.0
        spin[leg] = 0.0
        column = 2
        while body > 0:
            rate = qd[body - 1]
            for k in range(3):
                arm[k] = feet[leg, k] - pivot[body, k]
            cross(axis[body], arm, arm)
            for k in range(3):
                jacobian[leg, k, column] = arm[k]
                speed[leg, k] += arm[k] * rate
                spin[leg, k] += axis[body, k] * rate
            column -= 1
            body = tree.parent[body]
