"""Compute the equations of motion of a floating base with hinges: M, bias, feet and Jacobians.

Composite rigid bodies and recursive Newton-Euler in the world's axes about the base's origin
(Featherstone, "Rigid Body Dynamics Algorithms", 2008, chapters 5 and 6).  Velocities are MuJoCo's:
the base's linear one in the world, its angular one in its own axes.
"""

from __future__ import annotations

import numpy as np

from simrl_controllers.legged.kernels.algebra import (
    apply,
    cross,
    multiply,
    place_body,
    quaternion_matrix,
)
from simrl_controllers.legged.kernels.compile import kernel
from simrl_controllers.legged.tree import Tree


@kernel
def evaluate_rows(
    tree: Tree,
    qpos: np.ndarray,
    qvel: np.ndarray,
    point: np.ndarray,
    mass: np.ndarray,
    bias: np.ndarray,
    feet: np.ndarray,
    speed: np.ndarray,
    jacobian: np.ndarray,
    drift: np.ndarray,
    rotation: np.ndarray,
) -> None:
    """Evaluate n rows; everything after `point` is written.

    Args:
        tree: The robot.
        qpos: Configurations `[n, nq]`.
        qvel: Velocities `[n, nv]`.
        point: Offset of the tracked point from each foot's centre, world axes [m] `[n, 4, 3]`.
        mass: M `[n, nv, nv]`.
        bias: Coriolis, centrifugal, gravity and damping forces `[n, nv]`:
            M qacc + bias = motors + contacts.
        feet: Points of the feet in the world [m] `[n, 4, 3]`.
        speed: Their velocities as points of the feet's bodies [m/s] `[n, 4, 3]`.
        jacobian: Their Jacobians `[n, 4, 3, nv]`.
        drift: Their accelerations where qacc = 0 [m/s^2] `[n, 4, 3]`.
        rotation: Base to world `[n, 3, 3]`.
    """
    count = tree.parent.shape[0]
    turn = np.empty((count, 3, 3))
    place, pivot = np.empty((count, 3)), np.empty((count, 3))
    omega, alpha = np.empty((count, 3)), np.empty((count, 3))
    velocity, acceleration = np.empty((count, 3)), np.empty((count, 3))
    axis, centre = np.empty((count, 3)), np.empty((count, 3))
    for row in range(qpos.shape[0]):
        _move(tree, qpos[row], qvel[row], turn, place, pivot, axis, omega, velocity)
        rotation[row] = turn[0]
        _accelerate(tree, qvel[row], place, pivot, axis, omega, alpha, acceleration)
        _inertia_and_bias(
            tree, qvel[row], turn, place, pivot, axis, omega, alpha, acceleration, centre,
            mass[row], bias[row],
        )  # fmt: skip
        for leg in range(tree.foot_body.shape[0]):
            _foot(
                tree, leg, point[row, leg], turn, place, pivot, axis, omega, alpha, velocity,
                acceleration, feet[row, leg], speed[row, leg], jacobian[row, leg], drift[row, leg],
            )  # fmt: skip


@kernel
def _move(
    tree: Tree,
    q: np.ndarray,
    v: np.ndarray,
    turn: np.ndarray,
    place: np.ndarray,
    pivot: np.ndarray,
    axis: np.ndarray,
    omega: np.ndarray,
    velocity: np.ndarray,
) -> None:
    """Write where each body is and how fast its origin moves, all in the world."""
    arm, spin = np.empty(3), np.empty(3)
    quaternion_matrix(q[3:7], turn[0])
    place[0] = q[:3]
    velocity[0] = v[:3]
    apply(turn[0], v[3:6], omega[0])
    for i in range(1, tree.parent.shape[0]):
        above = tree.parent[i]
        place_body(tree, i, q[6 + i], turn, place, pivot, axis)
        for k in range(3):
            omega[i, k] = omega[above, k] + axis[i, k] * v[5 + i]
            arm[k] = pivot[i, k] - place[above, k]
        cross(omega[above], arm, spin)
        velocity[i] = velocity[above] + spin
        for k in range(3):
            arm[k] = place[i, k] - pivot[i, k]
        cross(omega[i], arm, spin)
        velocity[i] += spin


@kernel
def _accelerate(
    tree: Tree,
    v: np.ndarray,
    place: np.ndarray,
    pivot: np.ndarray,
    axis: np.ndarray,
    omega: np.ndarray,
    alpha: np.ndarray,
    acceleration: np.ndarray,
) -> None:
    """Write the accelerations of the bodies' origins where qacc = 0."""
    arm, extra = np.empty(3), np.empty(3)
    for k in range(3):
        alpha[0, k] = 0.0
        acceleration[0, k] = 0.0
    for i in range(1, tree.parent.shape[0]):
        above = tree.parent[i]
        cross(omega[above], axis[i], extra)
        for k in range(3):
            alpha[i, k] = alpha[above, k] + extra[k] * v[5 + i]
            arm[k] = pivot[i, k] - place[above, k]
        acceleration[i] = acceleration[above]
        _add_spin(omega[above], alpha[above], arm, extra, acceleration[i])
        for k in range(3):
            arm[k] = place[i, k] - pivot[i, k]
        _add_spin(omega[i], alpha[i], arm, extra, acceleration[i])


@kernel
def _add_spin(
    omega: np.ndarray, alpha: np.ndarray, arm: np.ndarray, work: np.ndarray, out: np.ndarray
) -> None:
    """Add alpha x arm + omega x (omega x arm)."""
    cross(alpha, arm, work)
    for k in range(3):
        out[k] += work[k]
    cross(omega, arm, work)
    cross(omega, work, work)
    for k in range(3):
        out[k] += work[k]


@kernel
def _inertia_and_bias(
    tree: Tree,
    v: np.ndarray,
    turn: np.ndarray,
    place: np.ndarray,
    pivot: np.ndarray,
    axis: np.ndarray,
    omega: np.ndarray,
    alpha: np.ndarray,
    acceleration: np.ndarray,
    centre: np.ndarray,
    mass: np.ndarray,
    bias: np.ndarray,
) -> None:
    """Write M and bias: bodies' inertias and forces are summed from the leaves to the base."""
    count, nv = tree.parent.shape[0], bias.shape[0]
    lump, first = np.empty(count), np.empty((count, 3))
    second, force = np.empty((count, 3, 3)), np.empty((count, 3))
    moment = np.empty((count, 3))
    work, arm, pull = np.empty((3, 3)), np.empty(3), np.empty(3)
    spin, twist = np.empty(3), np.empty(3)
    for i in range(count):
        apply(turn[i], tree.centre[i], arm)
        centre[i] = place[i] + arm
        for k in range(3):
            pull[k] = acceleration[i, k] - tree.gravity[k]
        _add_spin(omega[i], alpha[i], arm, spin, pull)
        multiply(turn[i], tree.inertia[i], work)
        for j in range(3):
            for k in range(3):
                second[i, j, k] = (
                    work[j, 0] * turn[i, k, 0] + work[j, 1] * turn[i, k, 1]
                    + work[j, 2] * turn[i, k, 2]
                )  # fmt: skip
        apply(second[i], omega[i], spin)
        cross(omega[i], spin, spin)
        apply(second[i], alpha[i], twist)
        own = tree.mass[i]
        lump[i] = own
        for k in range(3):
            arm[k] = centre[i, k] - place[0, k]
            first[i, k] = own * arm[k]
            force[i, k] = own * pull[k]
            twist[k] += spin[k]
        cross(arm, force[i], moment[i])
        square = arm[0] * arm[0] + arm[1] * arm[1] + arm[2] * arm[2]
        for j in range(3):
            moment[i, j] += twist[j]
            second[i, j, j] += own * square
            for k in range(3):
                second[i, j, k] -= own * arm[j] * arm[k]
    for i in range(count - 1, 0, -1):
        above = tree.parent[i]
        lump[above] += lump[i]
        for j in range(3):
            first[above, j] += first[i, j]
            force[above, j] += force[i, j]
            moment[above, j] += moment[i, j]
            for k in range(3):
                second[above, j, k] += second[i, j, k]
    for i in range(nv):
        for j in range(nv):
            mass[i, j] = 0.0
    _base_block(turn[0], lump[0], first[0], second[0], mass)
    for k in range(3):
        bias[k] = force[0, k]
        bias[3 + k] = (
            turn[0, 0, k] * moment[0, 0] + turn[0, 1, k] * moment[0, 1]
            + turn[0, 2, k] * moment[0, 2]
        )  # fmt: skip
    for i in range(1, count):
        _joint_column(
            tree, i, place, pivot, axis, turn[0], lump[i], first[i], second[i], force[i],
            moment[i], mass, bias, arm, pull, spin, twist,
        )  # fmt: skip
    for i in range(nv):
        mass[i, i] += tree.armature[i]
        bias[i] += tree.damping[i] * v[i]


@kernel
def _base_block(
    turn: np.ndarray, lump: float, first: np.ndarray, second: np.ndarray, mass: np.ndarray
) -> None:
    """Write the base's own 6 x 6 block of M."""
    work = np.empty((3, 3))
    multiply(second, turn, work)
    for j in range(3):
        mass[j, j] = lump
        a, b = (j + 1) % 3, (j + 2) % 3
        for k in range(3):
            # Force on turning about base axis k: omega x first, omega = turn[:, k].
            mass[j, 3 + k] = turn[a, k] * first[b] - turn[b, k] * first[a]
            mass[3 + k, j] = mass[j, 3 + k]
            mass[3 + j, 3 + k] = (
                turn[0, j] * work[0, k] + turn[1, j] * work[1, k] + turn[2, j] * work[2, k]
            )


@kernel
def _joint_column(
    tree: Tree,
    i: int,
    place: np.ndarray,
    pivot: np.ndarray,
    axis: np.ndarray,
    base: np.ndarray,
    lump: float,
    first: np.ndarray,
    second: np.ndarray,
    force: np.ndarray,
    moment: np.ndarray,
    mass: np.ndarray,
    bias: np.ndarray,
    linear: np.ndarray,
    push: np.ndarray,
    spin: np.ndarray,
    twist: np.ndarray,
) -> None:
    """Write the row and column of M and the bias of one hinge."""
    own = 5 + i
    for k in range(3):
        spin[k] = place[0, k] - pivot[i, k]
    cross(axis[i], spin, linear)
    bias[own] = 0.0
    for k in range(3):
        bias[own] += axis[i, k] * moment[k] + linear[k] * force[k]
    cross(axis[i], first, push)
    cross(first, linear, twist)
    apply(second, axis[i], spin)
    for k in range(3):
        push[k] += lump * linear[k]
        twist[k] += spin[k]
    for k in range(3):
        mass[k, own] = push[k]
        mass[own, k] = push[k]
        value = base[0, k] * twist[0] + base[1, k] * twist[1] + base[2, k] * twist[2]
        mass[3 + k, own] = value
        mass[own, 3 + k] = value
    other = i
    while other > 0:
        for k in range(3):
            spin[k] = place[0, k] - pivot[other, k]
        cross(axis[other], spin, linear)
        value = 0.0
        for k in range(3):
            value += axis[other, k] * twist[k] + linear[k] * push[k]
        mass[own, 5 + other] = value
        mass[5 + other, own] = value
        other = tree.parent[other]


@kernel
def _foot(
    tree: Tree,
    leg: int,
    point: np.ndarray,
    turn: np.ndarray,
    place: np.ndarray,
    pivot: np.ndarray,
    axis: np.ndarray,
    omega: np.ndarray,
    alpha: np.ndarray,
    velocity: np.ndarray,
    acceleration: np.ndarray,
    foot: np.ndarray,
    speed: np.ndarray,
    jacobian: np.ndarray,
    drift: np.ndarray,
) -> None:
    """Write place, velocity, Jacobian and drift of one foot's point."""
    arm, work = np.empty(3), np.empty(3)
    body = tree.foot_body[leg]
    apply(turn[body], tree.foot_offset[leg], arm)
    for k in range(3):
        arm[k] += point[k]
        foot[k] = place[body, k] + arm[k]
        drift[k] = acceleration[body, k]
    _add_spin(omega[body], alpha[body], arm, work, drift)
    cross(omega[body], arm, work)
    for k in range(3):
        speed[k] = velocity[body, k] + work[k]
        for j in range(jacobian.shape[1]):
            jacobian[k, j] = 0.0
        jacobian[k, k] = 1.0
    for j in range(3):
        for k in range(3):
            work[k] = turn[0, k, j]
            arm[k] = foot[k] - place[0, k]
        cross(work, arm, work)
        for k in range(3):
            jacobian[k, 3 + j] = work[k]
    while body > 0:
        for k in range(3):
            arm[k] = foot[k] - pivot[body, k]
        cross(axis[body], arm, work)
        for k in range(3):
            jacobian[k, 5 + body] = work[k]
        body = tree.parent[body]
