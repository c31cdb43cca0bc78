"""Drive each way around the discs ahead by rule: plans beside which the optimiser's is held.

Gradients never lead from one side of an obstacle to the other, so a plan that has chosen the wrong
side, or stands before an obstacle, stays so.  Here every combination of sides is driven by pure
pursuit ("Implementation of the pure pursuit path tracking algorithm", 1992) on a kinematic car.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from simrl_controllers.nonlinear.kernels.small import kernel

MOST_CHOICES = 2
"""Discs for which both sides are tried; those beyond them are passed on the wider side."""
PACES = (1.0, 0.5, 0.2)
"""Shares of the wanted speed at which every way is driven: a swerve may need to be slow."""
HOLD, BLEND = 3.0, 12.0
"""Distance before and behind a disc at which the way is beside it [m], and over which it returns to
the middle of the road [m]."""
BEHIND = 5.0
"""Discs further behind than this are forgotten [m]."""
PURSUIT_SECONDS, PURSUIT_METRES = 0.6, 2.0
"""The point of pursuit lies this far ahead: time times speed, plus metres."""
STEER_SECONDS, SPEED_GAIN = 0.15, 1.5
"""Time in which the steering angle is corrected [s]; acceleration for each m/s too slow [1/s]."""
STEER_ERROR = 0.3
"""Error of the steering angle at which a slow way all but stops [rad]."""


class Body(NamedTuple):
    """Hold what the rule needs to know of the car and the road."""

    wheelbase: float
    """Distance between the axles [m]."""
    middle: float
    """From the rear axle, which is the reference point, to the middle of the body [m]."""
    room: float
    """From the body's middle line to a disc's edge, at least [m]."""
    half_road: float
    """From the centre line to where the body's middle line may be [m]."""
    max_steer: float
    """Largest steering angle [rad]."""


def drive_ways(
    body: Body,
    low: np.ndarray,
    high: np.ndarray,
    dt: float,
    first: np.ndarray,
    targets: np.ndarray,
    discs: np.ndarray,
) -> np.ndarray:
    """Return the inputs `[ways, N, 2]` of every way to pass the discs in reach.

    Args:
        body: Car and road.
        low: Smallest acceleration and steering rate.
        high: Largest ones.
        dt: Length of a stage [s].
        first: x, y, heading, speed, steering angle, and whatever else the state has.
        targets: `[N + 1, 6]` x, y, heading, speed, curvature and offset of the road at each stage.
        discs: `[N + 1, M, 3]` x, y and radius at each stage.
    """
    place, offset = _meet(targets, discs, body)
    order = place[:, 0].argsort(kind="stable")
    place, offset = place[order], offset[order]
    free = [[side for side in sides if abs(side) <= body.half_road] for sides in offset]
    ways: list[list[float]] = [[]]
    for index, sides in enumerate(free):
        nearest = min(offset[index], key=abs)
        choices = sides if sides and index < MOST_CHOICES else [nearest]
        ways = [[*way, side] for way in ways for side in choices]
    if not len(place):
        return np.empty((0, len(targets) - 1, 2))
    stations = np.ascontiguousarray(place[:, 0])
    u = np.empty((len(ways) * len(PACES), len(targets) - 1, 2))
    for index, way in enumerate(ways):
        for turn, pace in enumerate(PACES):
            out = u[index * len(PACES) + turn]
            _pursue(body, low, high, dt, pace, first, targets, stations, np.array(way), out)
    return u


def _meet(targets: np.ndarray, discs: np.ndarray, body: Body) -> tuple[np.ndarray, np.ndarray]:
    """Return where discs in the way are met: stations `[D, 1]` [m], offsets to pass at `[D, 2]`."""
    dx = discs[..., 0] - targets[:, None, 0]
    dy = discs[..., 1] - targets[:, None, 1]
    cos, sin = np.cos(targets[:, None, 2]), np.sin(targets[:, None, 2])
    along, aside = dx * cos + dy * sin, -dx * sin + dy * cos
    stage = np.abs(along).argmin(0)
    each = np.arange(discs.shape[1])
    along, aside = along[stage, each], aside[stage, each]
    aside -= 0.5 * targets[stage, 4] * along**2
    station = _stations(targets)[stage] + along
    room = body.room + discs[0, :, 2]
    # A disc beyond the last target is not in reach yet; how it will be passed can be told later.
    reach = body.middle + 0.5 * HOLD
    near = (along > -BEHIND) & (along < reach) & (np.abs(aside) < room)
    sides = np.stack([aside + room, aside - room], axis=1)
    return station[near, None], sides[near]


def _stations(targets: np.ndarray) -> np.ndarray:
    """Return how far each target is along the road `[N + 1]` [m]."""
    steps = np.hypot(np.diff(targets[:, 0]), np.diff(targets[:, 1]))
    return np.concatenate([[0.0], np.cumsum(steps)])


@kernel
def _pursue(
    body: Body,
    low: np.ndarray,
    high: np.ndarray,
    dt: float,
    pace: float,
    first: np.ndarray,
    targets: np.ndarray,
    stations: np.ndarray,
    offsets: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write the inputs `[N, 2]` that pass the disc at each of `stations` at its offset."""
    x, y, heading, speed, steer = first[0], first[1], first[2], first[3], first[4]
    last, near, start = len(targets) - 1, 0, 0.0
    for k in range(len(out)):
        along = _along(targets[near], x, y)
        while near < last:
            length = math.hypot(
                targets[near + 1, 0] - targets[near, 0], targets[near + 1, 1] - targets[near, 1]
            )
            if along < length:
                break
            near, start = near + 1, start + length
            along = _along(targets[near], x, y)
        reach = PURSUIT_METRES + PURSUIT_SECONDS * speed
        aim, base = near, start
        while aim < last:
            length = math.hypot(
                targets[aim + 1, 0] - targets[aim, 0], targets[aim + 1, 1] - targets[aim, 1]
            )
            if start + along + reach < base + length:
                break
            aim, base = aim + 1, base + length
        goal = start + along + reach
        ahead = goal - base
        road = targets[aim]
        aside = 0.5 * road[4] * ahead * ahead + _offset(goal + body.middle, stations, offsets)
        cos, sin = math.cos(road[2]), math.sin(road[2])
        dx = road[0] + ahead * cos - aside * sin - x
        dy = road[1] + ahead * sin + aside * cos - y
        left = -dx * math.sin(heading) + dy * math.cos(heading)
        wheel = math.atan(2.0 * body.wheelbase * left / max(dx * dx + dy * dy, 1.0))
        wheel = min(max(wheel, -body.max_steer), body.max_steer)
        # Who goes slowly waits for the wheels first: a tight turn needs them before it moves.
        wait = (1.0 - pace) * min(abs(wheel - steer) / STEER_ERROR, 1.0)
        push = SPEED_GAIN * (pace * (1.0 - wait) * targets[near, 3] - speed)
        out[k, 0] = min(max(push, low[0]), high[0])
        out[k, 1] = min(max((wheel - steer) / STEER_SECONDS, low[1]), high[1])
        mean_speed = max(speed + 0.5 * dt * out[k, 0], 0.0)
        mean_steer = steer + 0.5 * dt * out[k, 1]
        turn = dt * mean_speed * math.tan(mean_steer) / body.wheelbase
        x += dt * mean_speed * math.cos(heading + 0.5 * turn)
        y += dt * mean_speed * math.sin(heading + 0.5 * turn)
        heading += turn
        speed = max(speed + dt * out[k, 0], 0.0)
        steer += dt * out[k, 1]


@kernel
def _along(target: np.ndarray, x: float, y: float) -> float:
    """Return how far a place is ahead of a target [m]."""
    return (x - target[0]) * math.cos(target[2]) + (y - target[1]) * math.sin(target[2])


@kernel
def _offset(station: float, stations: np.ndarray, offsets: np.ndarray) -> float:
    """Return the offset to drive at: each disc's own beside it, and the middle far from all."""
    total, weight = 0.0, 0.0
    for i in range(len(stations)):
        far = abs(station - stations[i]) - HOLD
        share = min(max(1.0 - far / BLEND, 0.0), 1.0)
        total += share * offsets[i]
        weight += share
    return total / max(weight, 1.0)
