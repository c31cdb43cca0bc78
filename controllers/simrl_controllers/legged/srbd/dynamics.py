"""Write the motion of a single rigid body under foot forces as a linear model, step by step.

State: roll, pitch, yaw, position and velocity of the centre of mass, world angular velocity w.
Between two steps the rates E(rpy) of the angles, the inertia turned into the world and the lever
arms are held; the model is then exact: its matrices are nilpotent, so that forces enter the angles
by dt^2 / 2 as well.  Source: "Dynamic locomotion in the MIT Cheetah 3 through convex
model-predictive control" (Di Carlo et al. 2018), whose map of rates knows yaw only and whose
gyroscopic torque is 0; here w x I w is that of the step's beginning, along the reference.
"""

from __future__ import annotations

import numpy as np
from numba import njit

LEAST_COSINE = 0.05
"""Cosine of the pitch at which the map of Euler rates, singular at 90 degrees, stops growing."""


@njit(cache=True, nogil=True)
def rotation(rpy: np.ndarray, out: np.ndarray) -> None:
    """Write the rotation body to world `[3, 3]` of roll, pitch, yaw: R = Rz Ry Rx."""
    cx, sx = np.cos(rpy[0]), np.sin(rpy[0])
    cy, sy = np.cos(rpy[1]), np.sin(rpy[1])
    cz, sz = np.cos(rpy[2]), np.sin(rpy[2])
    out[0, 0], out[0, 1], out[0, 2] = cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx
    out[1, 0], out[1, 1], out[1, 2] = sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx
    out[2, 0], out[2, 1], out[2, 2] = -sy, cy * sx, cy * cx


@njit(cache=True, nogil=True)
def euler_rates(rpy: np.ndarray, out: np.ndarray) -> None:
    """Write E `[3, 3]`, which turns world angular velocity into rates of roll, pitch, yaw."""
    cosine = np.cos(rpy[1])
    if abs(cosine) < LEAST_COSINE:
        cosine = LEAST_COSINE if cosine >= 0.0 else -LEAST_COSINE
    tangent = np.sin(rpy[1]) / cosine
    cz, sz = np.cos(rpy[2]), np.sin(rpy[2])
    out[0, 0], out[0, 1], out[0, 2] = cz / cosine, sz / cosine, 0.0
    out[1, 0], out[1, 1], out[1, 2] = -sz, cz, 0.0
    out[2, 0], out[2, 1], out[2, 2] = tangent * cz, tangent * sz, 1.0


@njit(cache=True, nogil=True)
def loaded(
    mass: float,
    inertia: np.ndarray,
    extra_mass: float,
    extra_com: np.ndarray,
    shift: np.ndarray,
    out: np.ndarray,
) -> float:
    """Add a point mass at `extra_com` `[3]` (body frame, from the centre of mass).

    Writes how far the centre of mass moves `[3]` and the inertia about the new one `[3, 3]`.

    Returns:
        The new mass [kg].
    """
    total = mass + extra_mass
    reduced = mass * extra_mass / total
    square = 0.0
    for i in range(3):
        shift[i] = extra_mass / total * extra_com[i]
        square += extra_com[i] ** 2
    for i in range(3):
        for j in range(3):
            out[i, j] = inertia[i, j] - reduced * extra_com[i] * extra_com[j]
        out[i, i] += reduced * square
    return total


@njit(cache=True, nogil=True)
def inverse3(a: np.ndarray, out: np.ndarray) -> None:
    """Write the inverse of a matrix `[3, 3]`."""
    out[0, 0] = a[1, 1] * a[2, 2] - a[1, 2] * a[2, 1]
    out[0, 1] = a[0, 2] * a[2, 1] - a[0, 1] * a[2, 2]
    out[0, 2] = a[0, 1] * a[1, 2] - a[0, 2] * a[1, 1]
    out[1, 0] = a[1, 2] * a[2, 0] - a[1, 0] * a[2, 2]
    out[1, 1] = a[0, 0] * a[2, 2] - a[0, 2] * a[2, 0]
    out[1, 2] = a[0, 2] * a[1, 0] - a[0, 0] * a[1, 2]
    out[2, 0] = a[1, 0] * a[2, 1] - a[1, 1] * a[2, 0]
    out[2, 1] = a[0, 1] * a[2, 0] - a[0, 0] * a[2, 1]
    out[2, 2] = a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0]
    scale = 1.0 / (a[0, 0] * out[0, 0] + a[0, 1] * out[1, 0] + a[0, 2] * out[2, 0])
    for i in range(3):
        for j in range(3):
            out[i, j] *= scale


@njit(cache=True, nogil=True)
def positive3(a: np.ndarray) -> bool:
    """Tell whether a symmetric matrix `[3, 3]` is positive definite, by its leading minors."""
    second = a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0]
    third = a[0, 2] * (a[1, 0] * a[2, 1] - a[1, 1] * a[2, 0])
    third += a[1, 2] * (a[0, 1] * a[2, 0] - a[0, 0] * a[2, 1]) + a[2, 2] * second
    return a[0, 0] > 0.0 and second > 0.0 and third > 0.0


@njit(cache=True, nogil=True)
def gyroscopic(
    rotated: np.ndarray,
    inertia: np.ndarray,
    inverse: np.ndarray,
    omega: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write the angular acceleration `[3]` of a free body, world frame: -I^-1 (w x I w)."""
    spin, momentum, torque = np.empty(3), np.zeros(3), np.empty(3)
    for i in range(3):
        spin[i] = rotated[0, i] * omega[0] + rotated[1, i] * omega[1] + rotated[2, i] * omega[2]
    for i in range(3):
        for j in range(3):
            momentum[i] += inertia[i, j] * spin[j]
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        torque[i] = momentum[j] * spin[k] - momentum[k] * spin[j]
    for i in range(3):
        out[i] = 0.0
        for j in range(3):
            for k in range(3):
                out[i] += rotated[i, j] * inverse[j, k] * torque[k]


@njit(cache=True, nogil=True)
def lever(
    rotated: np.ndarray, inverse: np.ndarray, arm: np.ndarray, work: np.ndarray, out: np.ndarray
) -> None:
    """Write L `[3, 3]`: a force f at `arm` `[3]` turns the body by the acceleration L f.

    L = R I^-1 R' [arm]x with `rotated` = R and `inverse` = I^-1 in the body frame.
    """
    for i in range(3):  # R' [arm]x
        x, y, z = rotated[0, i], rotated[1, i], rotated[2, i]
        work[i, 0] = y * arm[2] - z * arm[1]
        work[i, 1] = z * arm[0] - x * arm[2]
        work[i, 2] = x * arm[1] - y * arm[0]
    for j in range(3):
        for i in range(3):
            total = 0.0
            for k in range(3):
                for m in range(3):
                    total += rotated[i, k] * inverse[k, m] * work[m, j]
            out[i, j] = total


@njit(cache=True, nogil=True)
def predict(
    free: np.ndarray,
    rates: np.ndarray,
    levers: np.ndarray,
    forces: np.ndarray,
    mass: float,
    dt: float,
    out: np.ndarray,
) -> None:
    """Write the states after each step `[N, 12]` under `forces` `[N, 4, 3]`.

    `free` `[N, 12]` are the states without forces, `rates` `[N, 3, 3]` the maps E, `levers`
    `[N, 4, 3, 3]` the maps L of each step and foot.
    """
    angle, place = np.zeros(3), np.zeros(3)
    spin, speed = np.zeros(3), np.zeros(3)
    turn, push = np.zeros(3), np.zeros(3)
    for step in range(len(free)):
        for i in range(3):
            turn[i], push[i] = 0.0, 0.0
            for foot in range(forces.shape[1]):
                push[i] += forces[step, foot, i] / mass
                for j in range(3):
                    turn[i] += levers[step, foot, i, j] * forces[step, foot, j]
        for i in range(3):
            place[i] += dt * speed[i] + 0.5 * dt * dt * push[i]
            for j in range(3):
                angle[i] += rates[step, i, j] * (dt * spin[j] + 0.5 * dt * dt * turn[j])
        for i in range(3):
            spin[i] += dt * turn[i]
            speed[i] += dt * push[i]
            out[step, i] = free[step, i] + angle[i]
            out[step, 3 + i] = free[step, 3 + i] + place[i]
            out[step, 6 + i] = free[step, 6 + i] + spin[i]
            out[step, 9 + i] = free[step, 9 + i] + speed[i]
