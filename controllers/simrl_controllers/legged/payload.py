"""Weigh what a robot carries by what its feet feel: slowly, and within bounds.

Averaged over strides, the feet carry the whole weight, and their centre of pressure lies under the
centre of mass.  The difference from the nominal robot is a load: a mass at a place on the base.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simrl_controllers.legged.kernels.algebra import apply, cross
from simrl_controllers.legged.kernels.compile import kernel

Array = np.ndarray
FEWEST = 0.3
"""Share of the nominal weight on the feet below which nothing is learned: the robot flies, or
lies."""
FARTHEST = 0.08
"""Farthest that a load may move the centre of mass, as a share of the robot's height."""
LIGHTEST = 0.05
"""Share of the nominal mass below which a load's place is not told; it is from twice that on."""


class Scale(NamedTuple):
    """Hold what weighing needs to know."""

    mass: float
    """Nominal mass [kg]."""
    gravity: float
    """Acceleration of gravity [m/s^2]."""
    com: Array
    """Nominal centre of mass from the base's origin, base axes [m] `[3]`."""
    height: float
    """Height of the base above the ground [m]."""
    seconds: float
    """Time constant of the mass [s]."""
    place_seconds: float
    """Time constant of its place [s]."""
    least: float
    """Smallest load [kg]."""
    most: float
    """Largest load [kg]."""


@kernel
def weigh(
    scale: Scale,
    force: Array,
    feet: Array,
    place: Array,
    turn: Array,
    dt: float,
    load: Array,
) -> None:
    """Move one row's load towards what the feet feel now.

    Args:
        scale: The nominal robot, and how fast to learn.
        force: How hard each foot presses down [N] `[4]`.
        feet: Where they are, world [m] `[4, 3]`.
        place: The base's origin, world [m] `[3]`.
        turn: Base to world `[3, 3]`.
        dt: Time since the last call [s].
        load: Changed: its mass [kg], and the shift of the centre of mass along the world's x and
            y turned into the base's heading [m] `[3]`.
    """
    total, x, y = 0.0, 0.0, 0.0
    for leg in range(4):
        total += force[leg]
        x += force[leg] * (feet[leg, 0] - place[0])
        y += force[leg] * (feet[leg, 1] - place[1])
    if total < FEWEST * scale.mass * scale.gravity:
        return
    share = dt / (scale.seconds + dt)
    load[0] += share * (total / scale.gravity - scale.mass - load[0])
    load[0] = min(max(load[0], scale.least), scale.most)
    com = np.empty(3)
    apply(turn, scale.com, com)
    dx, dy = x / total - com[0], y / total - com[1]
    size = np.sqrt(turn[0, 0] ** 2 + turn[1, 0] ** 2)
    if size < 0.1:
        return
    c, s = turn[0, 0] / size, turn[1, 0] / size
    # A heavier foot counts for more, so the average of moments is divided by that of weights.
    share = dt / (scale.place_seconds + dt) * total / ((scale.mass + load[0]) * scale.gravity)
    far = FARTHEST * scale.height
    load[1] += share * (c * dx + s * dy - load[1])
    load[2] += share * (-s * dx + c * dy - load[2])
    load[1] = min(max(load[1], -far), far)
    load[2] = min(max(load[2], -far), far)


@kernel
def load_place(scale: Scale, load: Array, out: Array) -> None:
    """Write where a load of that mass must be to shift the centre of mass so `[3]`.

    From the nominal centre of mass, in the base's axes, the base being level.  What is too light
    to tell, or missing, is taken to be at the centre itself.
    """
    light = LIGHTEST * scale.mass
    sure = min(1.0, max(0.0, load[0] / light - 1.0))
    factor = sure * (scale.mass + load[0]) / max(load[0], light)
    out[0] = factor * load[1]
    out[1] = factor * load[2]
    out[2] = 0.0


@kernel
def add_load(
    extra: float, arm: Array, turn: Array, omega: Array, gravity: float, mass: Array, bias: Array
) -> None:
    """Add a point mass on the base to its equations of motion, in place.

    Args:
        extra: Mass [kg].
        arm: Its place from the base's origin, base axes [m] `[3]`.
        turn: Base to world `[3, 3]`.
        omega: Angular velocity, base axes [rad/s] `[3]`.
        gravity: Acceleration of gravity [m/s^2].
        mass: M `[nv, nv]`.
        bias: `[nv]`.
    """
    # Acceleration of the mass: a + R (alpha x arm + omega x (omega x arm)).
    spin, world, axis = np.empty(3), np.empty(3), np.empty(3)
    lever = np.empty((3, 3))  # column j: R (e_j x arm)
    for j in range(3):
        axis[:] = 0.0
        axis[j] = 1.0
        cross(axis, arm, spin)
        apply(turn, spin, world)
        for k in range(3):
            lever[k, j] = world[k]
    cross(omega, arm, spin)
    cross(omega, spin, spin)
    apply(turn, spin, world)
    world[2] += gravity
    for k in range(3):
        mass[k, k] += extra
        bias[k] += extra * world[k]
        for j in range(3):
            mass[k, 3 + j] += extra * lever[k, j]
            mass[3 + j, k] += extra * lever[k, j]
            bias[3 + j] += extra * lever[k, j] * world[k]
            for i in range(3):
                mass[3 + i, 3 + j] += extra * lever[k, i] * lever[k, j]
