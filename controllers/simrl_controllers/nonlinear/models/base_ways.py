"""Drive a mobile base to its goal by rule: plans beside which the optimiser's is held.

The rule goes from corner to corner of a short way across the floor and passes what moves on a side
that was chosen.  A base that cannot step aside turns towards where it goes, goes there, and turns
into the goal's heading.
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
CORNER = 0.2
"""Distance from a corner at which the next one is aimed at [m]."""
EPSILON = 1e-9


class Base(NamedTuple):
    """Hold what the rule needs to know of the base."""

    tight: float
    """Least distance of its middle from things [m]."""
    wide: float
    """Distance of its middle from things at which it can turn [m]."""
    holonomic: bool
    """Whether it moves in all directions."""


def drive_ways(
    base: Base,
    boxes: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    dt: float,
    first: np.ndarray,
    targets: np.ndarray,
    discs: np.ndarray,
) -> np.ndarray:
    """Return the inputs `[ways, N, nu]` that lead around all things, ahead and in reverse.

    Args:
        base: The base.
        boxes: Furniture, middle and half sizes `[B, 4]` [m].
        low: Smallest speeds.
        high: Largest speeds.
        dt: Length of a stage [s].
        first: x, y, heading and whatever else the state has.
        targets: `[N + 1, 3]` x, y and heading of the goal at each stage.
        discs: `[N + 1, M, 3]` x, y and radius at each stage.
    """
    moving = np.abs(discs[-1] - discs[0]).sum(axis=1) > EPSILON
    still = np.ascontiguousarray(discs[0, ~moving])
    moves = np.ascontiguousarray(discs[:, moving])
    points = way_points(first[:2], targets[0, :2], boxes, still, base.tight, base.wide)
    gears = (1.0,) if base.holonomic or low[0] >= 0.0 else (1.0, -1.0)
    sides = SIDES if moving.any() else SIDES[:1]
    u = np.empty((len(sides) * len(gears), len(targets) - 1, len(low)))
    for index, side in enumerate(sides):
        for turn, gear in enumerate(gears):
            out = u[index * len(gears) + turn]
            _follow(base, low, high, dt, gear, side, first, targets, points, moves, out)
    return u


@kernel
def _follow(
    base: Base,
    low: np.ndarray,
    high: np.ndarray,
    dt: float,
    gear: float,
    side: float,
    first: np.ndarray,
    targets: np.ndarray,
    points: np.ndarray,
    discs: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write the inputs `[N, nu]` of one way; gear -1 drives in reverse."""
    x, y, heading = first[0], first[1], first[2]
    fast = min(high[0], -low[0]) if gear < 0.0 else high[0]
    spin, at = high[len(high) - 1], 0
    for k in range(len(out)):
        goal = targets[k]
        left = math.hypot(goal[0] - x, goal[1] - y)
        while at < len(points) - 1 and math.hypot(points[at, 0] - x, points[at, 1] - y) < CORNER:
            at += 1
        ahead = math.hypot(points[at, 0] - x, points[at, 1] - y)
        course = math.atan2(points[at, 1] - y, points[at, 0] - x)
        passing = at < len(points) - 1
        turned, hit = _tangent(x, y, course, ahead, side, base.wide, discs[k])
        if hit:
            course, passing = turned, True
        if base.holonomic:
            speed = fast if passing else min(fast, SLOW * left)
            rate = TURN * _wrapped(goal[2] - heading)
            out[k, 0] = min(max(speed * math.cos(course - heading), low[0]), high[0])
            out[k, 1] = min(max(speed * math.sin(course - heading), low[1]), high[1])
            out[k, 2] = min(max(rate, low[2]), high[2])
            cos, sin = math.cos(heading), math.sin(heading)
            x += dt * (out[k, 0] * cos - out[k, 1] * sin)
            y += dt * (out[k, 0] * sin + out[k, 1] * cos)
            heading += dt * out[k, 2]
            continue
        facing = heading if gear > 0.0 else heading + math.pi
        off = _wrapped(course - facing)
        if left < NEAR:
            speed, rate = 0.0, TURN * _wrapped(goal[2] - heading)
        else:
            speed = min(fast, SLOW * left) * max(math.cos(off), 0.0) ** 3
            rate = TURN * off
        speed = gear * min(max(speed, -fast), fast)
        rate = min(max(rate, -spin), spin)
        out[k, 0], out[k, 1] = speed, rate
        x += dt * speed * math.cos(heading + 0.5 * dt * rate)
        y += dt * speed * math.sin(heading + 0.5 * dt * rate)
        heading += dt * rate


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
