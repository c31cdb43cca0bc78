"""Read an action: rates as they are, or set-points that a simple law brings about."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numba import njit
from torch import Tensor

from simrl_envs.vehicle.car import config as c
from simrl_envs.vehicle.car import row as r
from simrl_envs.vehicle.car.config import CarLaneConfig

Number = TypeVar("Number", float, Tensor)

SPEED_GAIN = 1.5
"""Acceleration for each m/s that the speed is off [1/s]."""
STEER_REACH = 0.3
"""Largest steering angle that can be set [rad]: enough for every road that can be laid."""


@njit(cache=True, nogil=True)
def to_rates(row: np.ndarray, numbers: np.ndarray, action: np.ndarray) -> tuple[float, float]:
    """Return acceleration [m/s^2] and steering rate [rad/s] of one action `[2]`.

    A speed is approached in proportion to what is lacking, a steering angle as fast as the wheels
    turn.
    """
    if numbers[c.SETPOINTS] == 0.0:
        return action[0], action[1]
    push = SPEED_GAIN * (action[0] - row[r.SPEED])
    push = min(max(push, -numbers[c.MAX_BRAKE]), numbers[c.MAX_THROTTLE])
    turn = (action[1] - row[r.STEER]) / numbers[c.STEP_SECONDS]
    most = numbers[c.MAX_STEER_RATE]
    return push, min(max(turn, -most), most)


def as_action(
    config: CarLaneConfig, rates: tuple[Number, Number], speed: Number, steer: Number
) -> tuple[Number, Number]:
    """Return the action that means these rates [m/s^2, rad/s] at a speed and steering angle.

    Set-points beyond their bounds are clipped by the environment, which then brakes less.
    """
    push, turn = rates
    if config.control == "rates":
        return push, turn
    return speed + push / SPEED_GAIN, steer + turn * config.step_seconds
