"""Lead a mobile base to its goal: targets along a short way, and drives along it by rule.

The drives are plans beside which the optimiser's is held: they pass what moves on a side that was
chosen.  A base that cannot step aside turns towards where it goes, goes there, and turns into the
goal's heading.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from simrl_controllers.nonlinear.kernels.small import kernel
from simrl_controllers.nonlinear.models.base_paths import way_points

SIDES = (1.0, -1.0)
"""Sides on which what moves is passed: left 1, right -1."""
SLOW, TURN, NEAR = 1.2, 2.0, 0.03
"""Speed for each metre left [1/s], spin for each radian [1/s], and the distance from the goal at
which a base on wheels turns into the goal's heading [m]."""
LOOK = 4
"""Stages by which a drive looks ahead on its way."""
SOON = (4, 12)
"""Step between the stages, and the last of them, at which moving discs are in the way."""
STILL = 0.05
"""Way of a disc within the horizon below which it stands still [m]."""


class Base(NamedTuple):
    """Hold what the rule needs to know of the base."""

    tight: float
    """Least distance of its middle from things [m]."""
    wide: float
    """Distance of its middle from things at which it can turn [m]."""
    holonomic: bool
    """Whether it moves in all directions."""
    lag: np.ndarray
    """Time constant of each speed `[nu]` [s]."""
    push: np.ndarray
    """Greatest acceleration of each speed `[nu]` [m/s^2, rad/s^2]."""


def lay_targets(
    base: Base,
    boxes: np.ndarray,
    pace: float,
    first: np.ndarray,
    targets: np.ndarray,
    discs: np.ndarray,
) -> np.ndarray:
    """Return targets `[N + 1, 3]` that go along a short way to the goal.

    Args:
        base: The base.
        boxes: Furniture, middle and half sizes `[B, 4]` [m].
        pace: Distance between one target and the next [m].
        first: x, y, heading and whatever else the state has.
        targets: `[N + 1, 3]` x, y and heading of the goal.
        discs: `[N + 1, M, 3]` x, y and radius at each stage.
    """
    moving, ahead = _moving(discs), discs[: SOON[-1] + 1 : SOON[0]]
    # What moves is in the way wherever it will be soon.
    things = np.concatenate([discs[0, ~moving], ahead[:, moving].reshape(-1, 3)])
    corners = way_points(first[:2], targets[-1, :2], boxes, things, base.tight, base.wide)
    points = np.concatenate([first[None, :2], corners])
    steps = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    reach = np.minimum(pace * np.arange(len(targets)), along[-1])
    result = np.array(targets, np.float64)
    for axis in range(2):
        result[:, axis] = np.interp(reach, along, points[:, axis])
    if not base.holonomic:
        # Wheels go where they look, and turn into the goal's heading at its end.
        leg = np.clip(np.searchsorted(along, reach, side="right") - 1, 0, len(steps) - 1)
        course = np.arctan2(*np.diff(points, axis=0).T[::-1])
        result[:, 2] = np.where(reach < along[-1] - NEAR, course[leg], targets[:, 2])
    return result


def _moving(discs: np.ndarray) -> np.ndarray:
    moving: np.ndarray = np.abs(discs[-1] - discs[0]).sum(axis=1) > STILL
    return moving


def drive_ways(
    base: Base,
    low: np.ndarray,
    high: np.ndarray,
    dt: float,
    first: np.ndarray,
    targets: np.ndarray,
    discs: np.ndarray,
) -> np.ndarray:
    """Return the inputs `[ways, N, nu]` of drives along the targets, past what moves on both sides.

    Args:
        base: The base.
        low: Smallest speeds.
        high: Largest speeds.
        dt: Length of a stage [s].
        first: x, y, heading and whatever else the state has.
        targets: `[N + 1, 3]` x, y and heading at each stage.
        discs: `[N + 1, M, 3]` x, y and radius at each stage.
    """
    moves = np.ascontiguousarray(discs[:, _moving(discs)])
    sides = SIDES if moves.shape[1] else SIDES[:1]
    u = np.empty((len(sides), len(targets) - 1, len(low)))
    for index, side in enumerate(sides):
        _follow(base, low, high, dt, side, first, targets, moves, u[index])
    return u


@kernel
def _follow(
    base: Base,
    low: np.ndarray,
    high: np.ndarray,
    dt: float,
    side: float,
    first: np.ndarray,
    targets: np.ndarray,
    discs: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write the inputs `[N, nu]` of one drive."""
    x, y, heading, last = first[0], first[1], first[2], len(targets) - 1
    spin, turns = first[5], len(low) - 1
    ahead = math.cos(heading) * first[3] + math.sin(heading) * first[4]
    aside = -math.sin(heading) * first[3] + math.cos(heading) * first[4]
    for k in range(len(out)):
        goal = targets[min(k + LOOK, last)]
        left = math.hypot(goal[0] - x, goal[1] - y)
        course = math.atan2(goal[1] - y, goal[0] - x)
        turned, hit = _tangent(x, y, course, left, side, base.wide, discs[k])
        course = turned if hit else course
        speed = high[0] if hit else min(high[0], SLOW * left)
        off, turn = _wrapped(course - heading), _wrapped(goal[2] - heading)
        if base.holonomic:
            out[k, 0] = _pushed(base, 0, ahead, speed * math.cos(off), low, high)
            out[k, 1] = _pushed(base, 1, aside, speed * math.sin(off), low, high)
            aside += dt * (out[k, 1] - aside) / max(base.lag[1], dt)
        else:
            if left < NEAR:
                speed, off = 0.0, turn
            turn = off
            out[k, 0] = _pushed(base, 0, ahead, speed * max(math.cos(off), 0.0) ** 3, low, high)
            aside = 0.0
        out[k, turns] = _pushed(base, turns, spin, TURN * turn, low, high)
        ahead += dt * (out[k, 0] - ahead) / max(base.lag[0], dt)
        spin += dt * (out[k, turns] - spin) / max(base.lag[turns], dt)
        cos, sin = math.cos(heading + 0.5 * dt * spin), math.sin(heading + 0.5 * dt * spin)
        x += dt * (ahead * cos - aside * sin)
        y += dt * (ahead * sin + aside * cos)
        heading += dt * spin


@kernel
def _pushed(
    base: Base, axis: int, speed: float, wanted: float, low: np.ndarray, high: np.ndarray
) -> float:
    """Return the input nearest to a wanted speed that accelerates no more than allowed."""
    most = base.push[axis] * base.lag[axis]
    value = min(max(wanted, speed - most), speed + most)
    return min(max(value, low[axis]), high[axis])


@kernel
def _tangent(
    x: float, y: float, course: float, left: float, side: float, room: float, discs: np.ndarray
) -> tuple[float, bool]:
    """Return the course past the nearest disc in the way, and whether there is one."""
    cos, sin = math.cos(course), math.sin(course)
    nearest, result, found = left, course, False
    for i in range(len(discs)):
        dx, dy = discs[i, 0] - x, discs[i, 1] - y
        along, aside = dx * cos + dy * sin, -dx * sin + dy * cos
        width = room + discs[i, 2]
        away = math.hypot(dx, dy)
        if discs[i, 2] <= 0.0 or along <= 0.0 or along - width > nearest or abs(aside) >= width:
            continue
        # The goal may stand before the disc.
        if along > left and away > width and math.hypot(along - left, aside) > width:
            continue
        nearest, found = along - width, True
        lean = math.asin(min(width / max(away, width), 1.0))
        if away < width:
            # Inside the ring that is to be left free: along it, and a little outwards.
            lean = 0.5 * math.pi + min(2.0 * (width - away) / width, 0.7)
        result = math.atan2(dy, dx) + side * lean
    return result, found


@kernel
def _wrapped(angle: float) -> float:
    """Return the angle between -pi and pi."""
    return math.atan2(math.sin(angle), math.cos(angle))
