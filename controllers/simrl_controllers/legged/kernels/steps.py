"""Choose where feet shall land, and lead swinging feet there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simrl_controllers.legged.kernels.clock import time_to_land
from simrl_controllers.legged.kernels.compile import kernel
from simrl_controllers.legged.kernels.contacts import GRACE, height_at
from simrl_controllers.legged.tuning import Tuning

RISE = 0.45
"""Share of a swing's time in which the foot rises."""
MOST_LIFT = 15.0
"""Height of a swing over the square of the time in which a foot rises, at most [m/s^2]."""
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
    row.target[leg, 2] = height_at(row, x, y) + tune.radius[leg]


@kernel
def quintic(
    start: float, end: float, pace: float, top: float, length: float, now: float, out: np.ndarray
) -> None:
    """Write place, speed, acceleration at `now` of the quintic over `length` seconds `[3]`.

    It begins at `start` with acceleration `top` and no speed, or, where `top` is given for its end
    (`pace` not a number), ends with it; else it ends at `end` with speed `pace` and unaccelerated.
    """
    x = now / length
    gap = end - start
    if math.isnan(pace):
        speed, first, last = 0.0, 0.0, top * length * length
    else:
        speed, first, last = pace * length, top * length * length, 0.0
    c2 = 0.5 * first
    a = gap - c2
    b = speed - first
    c = last - first
    c3 = 10.0 * a - 4.0 * b + 0.5 * c
    c4 = -15.0 * a + 7.0 * b - c
    c5 = 6.0 * a - 3.0 * b + 0.5 * c
    out[0] = start + x * x * (c2 + x * (c3 + x * (c4 + x * c5)))
    out[1] = x * (2.0 * c2 + x * (3.0 * c3 + x * (4.0 * c4 + x * 5.0 * c5))) / length
    out[2] = (2.0 * c2 + x * (6.0 * c3 + x * (12.0 * c4 + x * 20.0 * c5))) / (length * length)


@kernel
def lead_foot(
    row: Any, tune: Tuning, leg: int, foot: np.ndarray, speed: np.ndarray, out: np.ndarray
) -> None:
    """Write the acceleration of a foot's centre that follows its swing `[3]`.

    Along the ground a quintic from start to landing; two quintics up and down, which meet at the
    top.  The foot comes down softly, at the landing speed, and keeps that until there is ground.
    """
    begin = row.lift[leg]
    length = max(row.period * (1.0 - row.duty) * (1.0 - begin), 0.02)
    now = length * max(0.0, row.progress[leg] - begin) / max(1.0 - begin, 1e-3)
    if row.stance[leg] == 1.0:
        now = length + row.late[leg]
    way, rise = np.empty(3), RISE * length
    source, target = row.source[leg], row.target[leg]
    for k in range(2):
        quintic(source[k], target[k], 0.0, 0.0, length, min(now, length), way)
        if now > length:
            way[1], way[2] = 0.0, 0.0
        out[k] = way[2] + tune.swing_stiffness * (way[0] - foot[k])
        out[k] += tune.swing_damping * (way[1] - speed[k])
    lift = min(tune.step_height, MOST_LIFT * rise * rise)
    top = max(source[2], target[2]) + lift
    bend = -lift / (rise * rise)
    if now < rise:
        quintic(source[2], top, math.nan, bend, rise, now, way)
    elif now < length:
        quintic(top, target[2], -tune.landing, bend, length - rise, now - rise, way)
    else:
        late = now - length
        deep = tune.landing * late + REACHING * max(0.0, late - GRACE)
        way[0] = target[2] - min(deep, DEEPEST * tune.height)
        way[1] = -tune.landing if deep < DEEPEST * tune.height else 0.0
        way[2] = 0.0
    out[2] = way[2] + tune.swing_stiffness * (way[0] - foot[2])
    out[2] += tune.swing_damping * (way[1] - speed[2])


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
