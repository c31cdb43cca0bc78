"""Write what the whole body shall do now: accelerations of base and feet, forces on the ground."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simrl_controllers.legged.kernels.algebra import apply, cross
from simrl_controllers.legged.kernels.compile import kernel
from simrl_controllers.legged.kernels.steps import lead_foot, reach_down
from simrl_controllers.legged.tuning import Tuning


@kernel
def write_forces(row: Any, tune: Tuning, plan: np.ndarray, out: np.ndarray) -> None:
    """Write the planned force on each foot now `[4, 3]` from the plan `[N, 4, 3]`."""
    index = min(int(row.age / tune.mpc_dt), plan.shape[0] - 1)
    for leg in range(4):
        for k in range(3):
            out[leg, k] = plan[index, leg, k]


@kernel
def write_base(
    row: Any,
    tune: Tuning,
    turn: np.ndarray,
    com: np.ndarray,
    velocity: np.ndarray,
    omega: np.ndarray,
    rpy: np.ndarray,
    feet: np.ndarray,
    load: np.ndarray,
    force: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write the base's acceleration: linear in the world, angular in its axes `[6]`.

    It is what the planned forces would do to a single rigid body, and what brings the base back to
    the way on which they would lead it.
    """
    linear, moment, arm, work = np.zeros(3), np.zeros(3), np.empty(3), np.empty(3)
    linear[2] = -tune.gravity
    shift = np.empty(3)  # of the centre of mass by the load
    work[0], work[1], work[2] = load[1], load[2], 0.0
    apply(turn, work, shift)
    for leg in range(4):
        for k in range(3):
            linear[k] += force[leg, k] / (tune.mass + load[0])
            arm[k] = feet[leg, k] - com[k] - shift[k]
        arm[2] -= tune.radius[leg]
        cross(arm, force[leg], work)
        for k in range(3):
            moment[k] += work[k]
    angular = np.empty(3)  # in the base's axes
    local, spin = np.empty(3), np.empty(3)
    for k in range(3):
        local[k] = turn[0, k] * moment[0] + turn[1, k] * moment[1] + turn[2, k] * moment[2]
        spin[k] = turn[0, k] * omega[0] + turn[1, k] * omega[1] + turn[2, k] * omega[2]
    apply(tune.inertia, spin, work)
    cross(spin, work, work)
    for k in range(3):
        local[k] -= work[k]
    _solve3(tune.inertia, local, angular)
    age = row.age
    for k in range(3):
        place = row.plan_position[k] + age * (row.plan_velocity[k] + 0.5 * age * linear[k])
        pace = row.plan_velocity[k] + age * linear[k]
        out[k] = linear[k]
        out[k] += tune.base_stiffness[k] * (place - com[k])
        out[k] += tune.base_damping[k] * (pace - velocity[k])
    # Rotations by the Euler angles' small differences, turned into the base's axes.
    gap, rate = np.empty(3), np.empty(3)
    apply(turn, angular, work)
    c, s = math.cos(rpy[2]), math.sin(rpy[2])
    for k in range(3):
        rate[k] = row.plan_omega[k] + age * work[k] - omega[k]
    roll = row.plan_rotation[0] - rpy[0]
    pitch = row.plan_rotation[1] - rpy[1]
    yaw = row.plan_rotation[2] - rpy[2]
    yaw -= 2.0 * math.pi * math.floor(yaw / (2.0 * math.pi) + 0.5)
    gap[0] = c * roll - s * pitch + age * (row.plan_omega[0] + 0.5 * age * work[0])
    gap[1] = s * roll + c * pitch + age * (row.plan_omega[1] + 0.5 * age * work[1])
    gap[2] = yaw + age * (row.plan_omega[2] + 0.5 * age * work[2])
    for k in range(3):
        # Gains are the base's own: both vectors are turned into its axes.
        a = turn[0, k] * gap[0] + turn[1, k] * gap[1] + turn[2, k] * gap[2]
        b = turn[0, k] * rate[0] + turn[1, k] * rate[1] + turn[2, k] * rate[2]
        out[3 + k] = angular[k]
        out[3 + k] += tune.base_stiffness[3 + k] * a + tune.base_damping[3 + k] * b
    # From the centre of mass to the base's origin.
    apply(turn, tune.com, arm)
    apply(turn, out[3:6], local)
    cross(local, arm, work)
    for k in range(3):
        out[k] -= work[k]
    cross(omega, arm, work)
    cross(omega, work, work)
    for k in range(3):
        out[k] -= work[k]


@kernel
def _solve3(matrix: np.ndarray, vector: np.ndarray, out: np.ndarray) -> None:
    """Solve a 3 x 3 system by Cramer's rule."""
    a, b, c = np.empty(3), np.empty(3), np.empty(3)
    cross(matrix[:, 1], matrix[:, 2], a)
    cross(matrix[:, 2], matrix[:, 0], b)
    cross(matrix[:, 0], matrix[:, 1], c)
    volume = matrix[0, 0] * a[0] + matrix[1, 0] * a[1] + matrix[2, 0] * a[2]
    out[0] = (a[0] * vector[0] + a[1] * vector[1] + a[2] * vector[2]) / volume
    out[1] = (b[0] * vector[0] + b[1] * vector[1] + b[2] * vector[2]) / volume
    out[2] = (c[0] * vector[0] + c[1] * vector[1] + c[2] * vector[2]) / volume


@kernel
def write_feet(
    row: Any,
    tune: Tuning,
    feet: np.ndarray,
    speed: np.ndarray,
    drift: np.ndarray,
    active: np.ndarray,
    target: np.ndarray,
) -> None:
    """Write J qacc of each foot: still where it stands, else along its way `[4, 3]`."""
    for leg in range(4):
        if active[leg]:
            for k in range(3):
                target[leg, k] = -tune.stance_damping * speed[leg, k]
        elif row.stance[leg] == 1.0 and row.held[leg] == 1.0:
            reach_down(row, tune, leg, feet[leg], speed[leg], target[leg])
        else:
            lead_foot(row, tune, leg, feet[leg], speed[leg], target[leg])
        for k in range(3):
            target[leg, k] -= drift[leg, k]
