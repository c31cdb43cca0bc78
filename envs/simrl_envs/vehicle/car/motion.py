"""Move the car: the kinematic and the dynamic single-track model, integrated by Runge-Kutta 4.

The reference point of both is the rear axle: x' = v cos(psi) - w sin(psi), y' = v sin(psi) +
w cos(psi), where w is the lateral speed of the rear axle, 0 in the kinematic model.  The dynamic
model follows the single-track model of CommonRoad's vehicle models, with lateral speed and yaw rate
as states.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from simrl_envs.vehicle.car import config as c
from simrl_envs.vehicle.car import row as r

GRAVITY = 9.81  # [m/s^2]
FINE_SECONDS = 0.005
"""Longest part of a step in the dynamic model, whose tyres are stiff [s]."""
SLIP_SPEED = 2.0
"""Slip angles are taken at no less than this speed [m/s], so that they exist at rest."""


@njit(cache=True, nogil=True)
def drive(row: np.ndarray, numbers: np.ndarray, acceleration: float, steer_rate: float) -> None:
    """Move the car of one row through one step under a constant action, in place."""
    seconds = numbers[c.STEP_SECONDS]
    parts = 1
    if numbers[c.DYNAMIC] != 0.0:
        parts = math.ceil(seconds / FINE_SECONDS - 1e-9)
    h = seconds / parts
    x = row[r.X : r.YAW_RATE + 1]
    fast, sharp = numbers[c.MAX_SPEED], numbers[c.MAX_STEER]
    for _ in range(parts):
        # Speed and steering angle end at their limits, neither beyond nor reflected.
        push = min(max(acceleration, -x[3] / h), (fast - x[3]) / h)
        turn = min(max(steer_rate, (-sharp - x[4]) / h), (sharp - x[4]) / h)
        k1 = rates(x, numbers, push, turn)
        k2 = rates(x + 0.5 * h * k1, numbers, push, turn)
        k3 = rates(x + 0.5 * h * k2, numbers, push, turn)
        k4 = rates(x + h * k3, numbers, push, turn)
        x += h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        x[3] = min(max(x[3], 0.0), fast)
        x[4] = min(max(x[4], -sharp), sharp)
        if numbers[c.DYNAMIC] == 0.0:
            x[6] = x[3] * math.tan(x[4]) / (numbers[c.FRONT] + numbers[c.REAR])
            x[5] = numbers[c.REAR] * x[6]


@njit(cache=True, nogil=True)
def rates(x: np.ndarray, numbers: np.ndarray, acceleration: float, steer_rate: float) -> np.ndarray:
    """Return the time derivative of the car's seven numbers."""
    out = np.zeros(7)
    speed, steer = x[3], x[4]
    drift, yaw_rate = 0.0, speed * math.tan(steer) / (numbers[c.FRONT] + numbers[c.REAR])
    if numbers[c.DYNAMIC] != 0.0:
        yaw_rate = x[6]
        drift = x[5] - numbers[c.REAR] * yaw_rate
        front, rear = tyre_forces(x, numbers, acceleration)
        mass = numbers[c.MASS]
        out[5] = (front * math.cos(steer) + rear) / mass - speed * yaw_rate
        out[6] = numbers[c.FRONT] * front * math.cos(steer) - numbers[c.REAR] * rear
        out[6] /= numbers[c.YAW_INERTIA]
    out[0] = speed * math.cos(x[2]) - drift * math.sin(x[2])
    out[1] = speed * math.sin(x[2]) + drift * math.cos(x[2])
    out[2] = yaw_rate
    out[3] = acceleration
    out[4] = steer_rate
    return out


@njit(cache=True, nogil=True)
def tyre_forces(x: np.ndarray, numbers: np.ndarray, acceleration: float) -> tuple[float, float]:
    """Return the lateral forces of the front and the rear axle [N].

    The load moves between the axles with the acceleration.  Linear: mu Fz C alpha.  Pacejka:
    mu Fz sin(S atan(C / S alpha)), with the same slope at 0 and never more than mu Fz.
    """
    front, rear = numbers[c.FRONT], numbers[c.REAR]
    shift = numbers[c.MASS_HEIGHT] * acceleration
    scale = numbers[c.MASS] / (front + rear)
    front_load = scale * (GRAVITY * rear - shift)
    rear_load = scale * (GRAVITY * front + shift)
    base = max(x[3], SLIP_SPEED)
    front_slip = x[4] * x[3] / base - math.atan((x[5] + front * x[6]) / base)
    rear_slip = -math.atan((x[5] - rear * x[6]) / base)
    mu = numbers[c.FRICTION]
    return (
        mu * front_load * tyre_curve(front_slip, numbers),
        mu * rear_load * tyre_curve(rear_slip, numbers),
    )


@njit(cache=True, nogil=True)
def tyre_curve(slip: float, numbers: np.ndarray) -> float:
    """Return the lateral force at a slip angle [rad] as a share of the friction limit."""
    stiffness = numbers[c.STIFFNESS]
    if numbers[c.PACEJKA] == 0.0:
        return stiffness * slip
    shape = numbers[c.SHAPE]
    return math.sin(shape * math.atan(stiffness / shape * slip))
