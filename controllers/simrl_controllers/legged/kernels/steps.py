"""Choose where feet shall land, and lead swinging feet there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simrl_controllers.legged.kernels.clock import time_to_land
from simrl_controllers.legged.kernels.compile import kernel
from simrl_controllers.legged.kernels.contacts import GRACE, height_at
from simrl_controllers.legged.tuning import Tuning

PLANNED = 0.92
"""Share of a swing's way on which a foot meets the ground, and so is at the end of its time."""
REACHING = 0.6
"""Speed at which a foot that missed the ground goes down [m/s]."""
DEEPEST = 0.4
"""Share of the base's height by which a foot may reach below the ground that was expected."""


@kernel
def beyond(value: float, limit: float) -> float:
    """Return by how much a value exceeds a limit on either side."""
    return max(0.0, value - limit) + min(0.0, value + limit)


@kernel
def choose_foothold(
    row: Any, tune: Tuning, leg: int, place: np.ndarray, velocity: np.ndarray, yaw: float
) -> None:
    """Write where the centre of a swinging foot shall land.

    Half a stance's way ahead of the hip (Raibert 1986), shifted for the velocity's error towards
    the capture point (Pratt et al. 2006), for that error's integral and for the distance from the
    wanted path.
    """
    ahead = time_to_land(row, leg)
    stance = row.duty * row.period
    turn = row.command[2]
    c, s = math.cos(yaw), math.sin(yaw)
    # Errors in the heading's axes.
    vx = c * velocity[0] + s * velocity[1]
    vy = -s * velocity[0] + c * velocity[1]
    away_x = c * (place[0] - row.place[0]) + s * (place[1] - row.place[1])
    away_y = -s * (place[0] - row.place[0]) + c * (place[1] - row.place[1])
    # The sway of a regular gait is no reason to step elsewhere; only what exceeds it is.
    vx = row.mean[0] + beyond(vx - row.mean[0], tune.sway)
    vy = row.mean[1] + beyond(vy - row.mean[1], tune.sway)
    error_x, error_y = vx - row.command[0], vy - row.command[1]
    fall = math.sqrt(tune.height / tune.gravity)
    gain = tune.raibert + tune.capture * max(0.0, fall - 0.5 * stance)
    step_x = 0.5 * stance * vx + gain * error_x + tune.integral * row.drift[0]
    step_y = 0.5 * stance * vy + gain * error_y + tune.integral * row.drift[1]
    step_x += tune.sidestep * away_x
    step_y += tune.sidestep * away_y
    size = math.sqrt(step_x * step_x + step_y * step_y)
    if size > tune.reach:
        step_x *= tune.reach / size
        step_y *= tune.reach / size
    # Where the hip will be, turned as in the middle of the stance to come.
    angle = yaw + turn * (ahead + 0.5 * stance)
    ca, sa = math.cos(angle), math.sin(angle)
    foot = tune.stance_feet[leg]
    x = place[0] + velocity[0] * ahead + ca * foot[0] - sa * foot[1] + c * step_x - s * step_y
    y = place[1] + velocity[1] * ahead + sa * foot[0] + ca * foot[1] + s * step_x + c * step_y
    row.target[leg, 0], row.target[leg, 1] = x, y
    row.target[leg, 2] = height_at(row, x, y) + tune.radius[leg] - tune.landing


@kernel
def lead_foot(
    row: Any, tune: Tuning, leg: int, foot: np.ndarray, speed: np.ndarray, out: np.ndarray
) -> None:
    """Write the acceleration of a foot's centre that follows its swing `[3]`.

    Along the ground a quintic from start to landing; above it the same with a bump on top.
    """
    begin = row.lift[leg]
    rate = PLANNED / max(row.period * (1.0 - row.duty) * (1.0 - begin), 1e-3)
    if row.stance[leg] == 0.0:
        share = max(0.0, PLANNED * (row.progress[leg] - begin) / max(1.0 - begin, 1e-3))
    else:
        share = PLANNED + row.late[leg] * rate
    if share >= 1.0:
        share, rate = 1.0, 0.0
    a = share
    way = a * a * a * (10.0 - 15.0 * a + 6.0 * a * a)
    way_rate = 30.0 * a * a * (1.0 - a) * (1.0 - a) * rate
    way_rate2 = 60.0 * a * (1.0 - a) * (1.0 - 2.0 * a) * rate * rate
    bump = 16.0 * a * a * (1.0 - a) * (1.0 - a)
    bump_rate = 32.0 * a * (1.0 - a) * (1.0 - 2.0 * a) * rate
    bump_rate2 = 32.0 * (1.0 - 6.0 * a + 6.0 * a * a) * rate * rate
    for k in range(3):
        gap = row.target[leg, k] - row.source[leg, k]
        place, velocity, push = row.source[leg, k] + gap * way, gap * way_rate, gap * way_rate2
        if k == 2:
            top = tune.step_height + 0.5 * max(0.0, gap)
            place += top * bump
            velocity += top * bump_rate
            push += top * bump_rate2
        out[k] = (
            push
            + tune.swing_stiffness * (place - foot[k])
            + tune.swing_damping * (velocity - speed[k])
        )


@kernel
def reach_down(
    row: Any, tune: Tuning, leg: int, foot: np.ndarray, speed: np.ndarray, out: np.ndarray
) -> None:
    """Write the acceleration of a foot that missed the ground: straight down `[3]`."""
    late = max(0.0, row.late[leg] - GRACE)
    depth = min(REACHING * late, DEEPEST * tune.height)
    falls = REACHING if depth < DEEPEST * tune.height else 0.0
    for k in range(3):
        place, velocity = row.target[leg, k], 0.0
        if k == 2:
            place -= depth
            velocity = -falls
        out[k] = tune.swing_stiffness * (place - foot[k])
        out[k] += tune.swing_damping * (velocity - speed[k])
