"""Predict one car through its delay, and its predecessor from an aged plan; all in float64.

A car is the column (position [m], speed [m/s], acceleration [m/s^2]) with s' = v, v' = a,
a' = (u - a) / lag, and the command u constant during a step.
"""

from __future__ import annotations

import math

import numpy as np


def exact_step(lag: float, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Return A `[3, 3]` and B `[3]` of one step of the car: x+ = A x + B u, exactly."""
    fade = math.exp(-seconds / lag)
    gained = lag * (1.0 - fade)
    a = np.array([[1.0, seconds, lag * (seconds - gained)], [0.0, 1.0, gained], [0.0, 0.0, fade]])
    b = np.array([0.5 * seconds * seconds - lag * (seconds - gained), seconds - gained, 1.0 - fade])
    return a, b


def through_delay(
    x: np.ndarray, sent: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Roll cars `[rows, 3]` over the commands already sent `[rows, D]`, oldest first.

    Returns the state when the next command takes effect `[rows, 3]` and the accelerations on the
    way `[rows, D]`.
    """
    way = []
    for k in range(sent.shape[1]):
        x = x @ a.T + sent[:, k, None] * b
        way.append(x[:, 2])
    return x, np.stack(way, axis=1) if way else np.zeros((len(x), 0))


def condensed(a: np.ndarray, b: np.ndarray, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Return free `[horizon, 3, 3]` and forced `[horizon, 3, horizon]` response of the car.

    x_k = free[k - 1] x_0 + forced[k - 1] u for k = 1 .. horizon.
    """
    free = np.empty((horizon, 3, 3))
    forced = np.zeros((horizon, 3, horizon))
    power, columns = np.eye(3), np.zeros((3, horizon))
    for k in range(horizon):
        columns = a @ columns
        columns[:, k] = b
        power = a @ power
        free[k], forced[k] = power, columns
    return free, forced


def aligned(plan: np.ndarray, age: np.ndarray, steps: int) -> np.ndarray:
    """Return the accelerations for 0, 1, .. `steps` steps from now `[rows, steps + 1]`.

    plan: `[rows, H]`, what was expected 1, 2, .. H steps after sending.  age: `[rows]` in steps.
    Past its end the plan's last number is held.
    """
    index = age[:, None] + np.arange(steps + 1) - 1
    return np.take_along_axis(plan, np.clip(index, 0, plan.shape[1] - 1), axis=1)


def travel(
    gap: np.ndarray, speed: np.ndarray, acceleration: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the predecessor's rear `[rows, K]` [m] and speed `[rows, K]` after 1 .. K steps.

    gap, speed: where it is and how fast, now `[rows]`.  acceleration: `[rows, K + 1]`; between two
    of its points the predecessor obeys x+ = a x + b u (`exact_step`) with the one command u that
    leads from the first to the second.  It does not drive backwards.
    """
    position, places, speeds = gap, [], []
    for k in range(acceleration.shape[1] - 1):
        now, then = acceleration[:, k], acceleration[:, k + 1]
        command = (then - a[2, 2] * now) / b[2]
        faster = speed + a[1, 2] * now + b[1] * command
        moved = a[0, 1] * speed + a[0, 2] * now + b[0] * command
        position = position + np.where(faster > 0.0, moved, np.maximum(moved, 0.0))
        speed = np.maximum(faster, 0.0)
        places.append(position)
        speeds.append(speed)
    return np.stack(places, axis=1), np.stack(speeds, axis=1)


def worst_case(
    gap: np.ndarray,
    speed: np.ndarray,
    plan: np.ndarray,
    ages: range,
    steps: int,
    brake: float,
    a: np.ndarray,
    b: np.ndarray,
) -> np.ndarray:
    """Return the nearest that the predecessor's rear may be `[rows, steps]` [m].

    The least over all ages that its plan may have.  A plan of age theta is silent about the last
    theta: in it the predecessor may have decided to brake fully, which costs it `brake` * theta of
    speed in the time to come and so up to brake * theta * (t - theta / 2) of way.
    """
    seconds = float(a[0, 1])
    time = seconds * np.arange(1, steps + 1)
    least = np.full((len(gap), steps), np.inf)
    for age in ages:
        theta = age * seconds
        lost = brake * np.where(time < theta, 0.5 * time * time, theta * (time - 0.5 * theta))
        expected = aligned(plan, np.full(len(gap), age), steps)
        place, _ = travel(gap, speed, expected, a, b)
        least = np.minimum(least, np.maximum(place - lost, gap[:, None]))
    return least
