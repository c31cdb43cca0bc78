"""Lay a curved road and find places on it: kernels over one state row.

The curvature is linear between knots 5 m apart (a chain of clothoids); positions between knots come
from the cubic Hermite curve through them, which differs from the clothoid by less than 1 mm.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from simrl_envs.vehicle.car import config as c
from simrl_envs.vehicle.car import row as r
from simrl_envs.vehicle.streams import draw

BEND_KNOTS = 5
"""Knots between which the curvature runs from one drawn value to the next."""
SUBSTEPS = 16
"""Parts in which a stretch between knots is integrated."""
SPACING = c.KNOT_SPACING
VERGE = 3.0
"""Ground between two parts of a closed road [m]."""


@njit(cache=True, nogil=True)
def first_knot(numbers: np.ndarray) -> int:
    """Return the column of the first knot."""
    per_obstacle = r.OBSTACLE_WIDTH + r.TRACK_WIDTH
    return r.OBSTACLES + per_obstacle * int(numbers[c.NUM_OBSTACLES])


@njit(cache=True, nogil=True)
def lay_road(row: np.ndarray, numbers: np.ndarray) -> None:
    """Draw a new centre line: straight at first, then random bends; or a closed one."""
    count = int(numbers[c.NUM_KNOTS])
    knots = row[first_knot(numbers) :].reshape(count, r.KNOT_WIDTH)
    heading = draw(row, -math.pi, math.pi)
    if numbers[c.LAP] != 0.0:
        lay_lap(row, numbers, knots, heading)
        return
    limit = numbers[c.MAX_CURVATURE]
    last, bend = 0.0, 0.0
    for i in range(count):
        phase = i % BEND_KNOTS
        if phase == 0:
            last, bend = bend, draw(row, -limit, limit) if i >= BEND_KNOTS else 0.0
        knots[i, 3] = last + (bend - last) * phase / BEND_KNOTS
    trace(knots, heading)


@njit(cache=True, nogil=True)
def lay_lap(row: np.ndarray, numbers: np.ndarray, knots: np.ndarray, heading: float) -> None:
    """Draw a closed centre line, to the left or to the right, that keeps clear of itself.

    Its halves are the same line turned by pi, which closes it: each half turns by pi, so the second
    leads back by what the first has led away.  A line that comes too close to itself is drawn
    again, and bends less each time; a circle never does.
    """
    half = len(knots) // 2
    bends = np.empty(half // BEND_KNOTS)
    mean, limit = 2.0 * math.pi / numbers[c.LAP], numbers[c.MAX_CURVATURE]
    share, side = 1.0, 1.0 if draw(row, 0.0, 1.0) < 0.5 else -1.0
    while True:
        for k in range(len(bends)):
            bends[k] = draw(row, -1.0, 1.0)
        bends -= bends.mean()
        size = 2.0 * limit
        for bend in bends:
            if bend != 0.0:
                size = min(size, (limit - mean) / bend if bend > 0.0 else (limit + mean) / -bend)
        for i in range(len(knots)):
            k, phase = (i % half) // BEND_KNOTS, i % BEND_KNOTS
            last, bend = bends[k], bends[(k + 1) % len(bends)]
            curvature = mean + share * size * (last + (bend - last) * phase / BEND_KNOTS)
            knots[i, 3] = side * curvature
        trace(knots, heading)
        if clear_of_itself(knots, 2.0 * numbers[c.HALF_WIDTH] + VERGE):
            return
        share *= 0.9


@njit(cache=True, nogil=True)
def clear_of_itself(knots: np.ndarray, gap: float) -> bool:
    """Tell whether knots of a closed line that are far apart along it are `gap` m apart."""
    count = len(knots)
    for i in range(count):
        for j in range(i):
            along = min(i - j, count - i + j) * SPACING
            dx, dy = knots[i, 0] - knots[j, 0], knots[i, 1] - knots[j, 1]
            if along > 3.0 * gap and dx * dx + dy * dy < gap * gap:
                return False
    return True


@njit(cache=True, nogil=True)
def trace(knots: np.ndarray, heading: float) -> None:
    """Integrate the knots' curvature to their headings and places, from the origin on."""
    x, y = 0.0, 0.0
    for i in range(len(knots)):
        if i > 0:
            step = SPACING / SUBSTEPS
            before = knots[i - 1, 3]
            slope = (knots[i, 3] - before) / SPACING
            start = heading
            for k in range(SUBSTEPS):
                along = (k + 0.5) * step
                angle = start + before * along + 0.5 * slope * along * along
                x += step * math.cos(angle)
                y += step * math.sin(angle)
            heading = start + 0.5 * (before + knots[i, 3]) * SPACING
        knots[i, 0] = x
        knots[i, 1] = y
        knots[i, 2] = heading


@njit(cache=True, nogil=True)
def locate(row: np.ndarray, numbers: np.ndarray, s: float) -> tuple[float, float, float, float]:
    """Return x, y, heading and curvature of the centre line at arc length s [m].

    A closed road begins anew; before the first and behind the last knot another goes on straight.
    """
    count = int(numbers[c.NUM_KNOTS])
    base = first_knot(numbers)
    i = math.floor(s / SPACING)
    along = s - i * SPACING
    if numbers[c.LAP] != 0.0:
        i %= count
    elif i < 0 or i >= count - 1:
        i = 0 if i < 0 else count - 1
        k = base + i * r.KNOT_WIDTH
        beyond = s - i * SPACING
        heading = row[k + 2]
        return (
            row[k] + beyond * math.cos(heading),
            row[k + 1] + beyond * math.sin(heading),
            heading,
            0.0,
        )
    k = base + i * r.KNOT_WIDTH
    j = base + (i + 1) % count * r.KNOT_WIDTH
    t = along / SPACING
    slope = (row[j + 3] - row[k + 3]) / SPACING
    heading = row[k + 2] + row[k + 3] * along + 0.5 * slope * along * along
    h01 = t * t * (3.0 - 2.0 * t)
    h00 = 1.0 - h01
    h10 = t * (1.0 - t) * (1.0 - t) * SPACING
    h11 = t * t * (t - 1.0) * SPACING
    x = h00 * row[k] + h01 * row[j]
    x += h10 * math.cos(row[k + 2]) + h11 * math.cos(row[j + 2])
    y = h00 * row[k + 1] + h01 * row[j + 1]
    y += h10 * math.sin(row[k + 2]) + h11 * math.sin(row[j + 2])
    return x, y, heading, row[k + 3] + slope * along


@njit(cache=True, nogil=True)
def project(
    row: np.ndarray, numbers: np.ndarray, x: float, y: float, guess: float, rounds: int
) -> tuple[float, float, float, float]:
    """Return arc length, offset to the left, heading and curvature of the centre line next to x, y.

    `rounds` of Newton's method from `guess` [m]: the remaining distance along the tangent,
    divided by 1 - curvature * offset.
    """
    s = guess
    for _ in range(rounds):
        cx, cy, heading, curvature = locate(row, numbers, s)
        dx, dy = x - cx, y - cy
        along = dx * math.cos(heading) + dy * math.sin(heading)
        offset = -dx * math.sin(heading) + dy * math.cos(heading)
        s += along / max(0.5, 1.0 - curvature * offset)
    cx, cy, heading, curvature = locate(row, numbers, s)
    offset = -(x - cx) * math.sin(heading) + (y - cy) * math.cos(heading)
    return s, offset, heading, curvature


@njit(cache=True, nogil=True)
def wrap(angle: float) -> float:
    """Return an angle [rad] within -pi to pi."""
    return (angle + math.pi) % (2.0 * math.pi) - math.pi
