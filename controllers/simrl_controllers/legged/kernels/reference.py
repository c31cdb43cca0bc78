"""Say where the body shall go: ramp the command, and write what the planner shall follow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simrl_controllers.legged.kernels.clock import contact_table, leg_phase, wrap
from simrl_controllers.legged.kernels.compile import kernel
from simrl_controllers.legged.kernels.contacts import height_at
from simrl_controllers.legged.tuning import Tuning

FORGET = 0.5
"""Time constant with which the velocity error's integral is forgotten [1/s]."""
MOST_DRIFT = 0.15
"""Greatest integral of the velocity's error [m]."""
REST = 0.3
"""Time without a reason to step after which the robot stands [s]."""


@kernel
def roll_pitch_yaw(turn: np.ndarray, out: np.ndarray) -> None:
    """Write the angles of R = Rz Ry Rx."""
    out[0] = math.atan2(turn[2, 1], turn[2, 2])
    out[1] = math.asin(max(-1.0, min(1.0, -turn[2, 0])))
    out[2] = math.atan2(turn[1, 0], turn[0, 0])


@kernel
def follow_command(
    row: Any, tune: Tuning, command: np.ndarray, place: np.ndarray, velocity: np.ndarray, yaw: float
) -> None:
    """Ramp the command, and let the wanted place run ahead of the base, but not far."""
    for k in range(3):
        most = tune.acceleration[k] * tune.dt
        row.command[k] += max(-most, min(most, command[k] - row.command[k]))
    row.yaw = yaw + max(-tune.turn_lead, min(tune.turn_lead, wrap(row.yaw - yaw)))
    row.yaw += row.command[2] * tune.dt
    c, s = math.cos(yaw), math.sin(yaw)
    row.place[0] += (c * row.command[0] - s * row.command[1]) * tune.dt
    row.place[1] += (s * row.command[0] + c * row.command[1]) * tune.dt
    x, y = row.place[0] - place[0], row.place[1] - place[1]
    far = math.sqrt(x * x + y * y)
    if far > tune.lead:
        row.place[0] = place[0] + x * tune.lead / far
        row.place[1] = place[1] + y * tune.lead / far
    row.place[2] = height_at(row, place[0], place[1]) + tune.height
    vx, vy = c * velocity[0] + s * velocity[1], -s * velocity[0] + c * velocity[1]
    share = tune.dt / (row.period + tune.dt)
    row.mean[0] += share * (vx - row.mean[0])
    row.mean[1] += share * (vy - row.mean[1])
    error_x, error_y = vx - row.command[0], vy - row.command[1]
    keep = 1.0 - FORGET * tune.dt
    row.drift[0] = max(-MOST_DRIFT, min(MOST_DRIFT, keep * row.drift[0] + error_x * tune.dt))
    row.drift[1] = max(-MOST_DRIFT, min(MOST_DRIFT, keep * row.drift[1] + error_y * tune.dt))


@kernel
def wants_to_step(
    row: Any,
    tune: Tuning,
    command: np.ndarray,
    place: np.ndarray,
    velocity: np.ndarray,
    feet: np.ndarray,
    yaw: float,
) -> bool:
    """Tell whether to step: commanded, pushed, or standing with feet far from their places."""
    moved = max(abs(command[0]), abs(command[1]), abs(command[2])) > tune.still
    moved = moved or max(abs(row.command[0]), abs(row.command[1])) > tune.still
    speed = math.sqrt(velocity[0] * velocity[0] + velocity[1] * velocity[1])
    limit = tune.recover_speed if row.moving == 0.0 else 0.4 * tune.recover_speed
    stray = 0.3 if row.moving == 0.0 else 0.12
    c, s = math.cos(yaw), math.sin(yaw)
    off = False
    for leg in range(4):
        x, y = feet[leg, 0] - place[0], feet[leg, 1] - place[1]
        dx = c * x + s * y - tune.stance_feet[leg, 0]
        dy = -s * x + c * y - tune.stance_feet[leg, 1]
        off = off or math.sqrt(dx * dx + dy * dy) > stray * tune.height
    if moved or speed > limit or off:
        row.calm = 0.0
    else:
        row.calm += tune.dt
    return row.calm < REST if row.moving == 1.0 else row.calm == 0.0


@kernel
def write_reference(
    row: Any,
    tune: Tuning,
    com: np.ndarray,
    feet: np.ndarray,
    reference: np.ndarray,
    levers: np.ndarray,
    contact: np.ndarray,
) -> None:
    """Write what the planner needs: wanted states `[N, 12]`, levers `[N, 4, 3]`, contacts.

    com: centre of mass in the world [m]; feet: centres of the feet [m] `[4, 3]`.
    """
    contact_table(row, tune, row.wanted == 1.0, contact)
    x, y = row.place[0], row.place[1]
    vx, vy, turn = row.command[0], row.command[1], row.command[2]
    ahead_x, ahead_y = 0.0, 0.0
    for k in range(reference.shape[0]):
        middle = row.yaw + turn * (k + 0.5) * tune.mpc_dt
        c, s = math.cos(middle), math.sin(middle)
        wx, wy = c * vx - s * vy, s * vx + c * vy
        half_x, half_y = 0.5 * wx * tune.mpc_dt, 0.5 * wy * tune.mpc_dt
        for leg in range(4):
            _write_lever(
                row, tune, leg, (k + 0.5) * tune.mpc_dt, com, ahead_x + half_x, ahead_y + half_y,
                c, s, feet, levers[k, leg],
            )  # fmt: skip
        ahead_x += 2.0 * half_x
        ahead_y += 2.0 * half_y
        yaw = row.yaw + turn * (k + 1) * tune.mpc_dt
        c, s = math.cos(yaw), math.sin(yaw)
        out = reference[k]
        out[1] = -math.atan(c * row.plane[1] + s * row.plane[2])
        out[0] = math.atan(-s * row.plane[1] + c * row.plane[2])
        out[2] = yaw
        out[3] = x + ahead_x + c * tune.com[0] - s * tune.com[1]
        out[4] = y + ahead_y + s * tune.com[0] + c * tune.com[1]
        out[5] = height_at(row, x + ahead_x, y + ahead_y) + tune.height + tune.com[2]
        out[6], out[7], out[8] = 0.0, 0.0, turn
        out[9], out[10] = c * vx - s * vy, s * vx + c * vy
        out[11] = row.plane[1] * out[9] + row.plane[2] * out[10]


@kernel
def _write_lever(
    row: Any,
    tune: Tuning,
    leg: int,
    ahead: float,
    com: np.ndarray,
    ahead_x: float,
    ahead_y: float,
    c: float,
    s: float,
    feet: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write where a leg's foot will be during a step, from the centre of mass that moves along."""
    phase = leg_phase(row, leg, 0.0)
    if row.stance[leg] == 0.0:
        later = ahead >= (1.0 - phase + row.duty) * row.period
    else:
        rest = row.duty - phase if phase < row.duty else row.duty - phase + 1.0
        later = ahead >= rest * row.period
    if later and row.moving == 1.0:
        foot = tune.stance_feet[leg]
        out[0] = c * foot[0] - s * foot[1] - (c * tune.com[0] - s * tune.com[1])
        out[1] = s * foot[0] + c * foot[1] - (s * tune.com[0] + c * tune.com[1])
        out[2] = -tune.height - tune.com[2]
        return
    for k in range(3):
        place = row.target[leg, k] if row.stance[leg] == 0.0 else feet[leg, k]
        out[k] = place - com[k]
    out[0] -= ahead_x
    out[1] -= ahead_y
    out[2] -= tune.radius[leg]
