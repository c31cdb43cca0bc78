"""Find short ways for a base across a furnished floor: a field of costs to go, and its corners.

Gradients never lead a plan around furniture, so the whole floor is looked at once, in cells: from
each cell the cost of the cheapest way to the goal, where cells close to something cost more and
those in which the base would touch it are shut.
"""

from __future__ import annotations

import math

import numpy as np

from simrl_controllers.nonlinear.kernels.small import kernel

CELL = 0.1
"""Side of a cell [m]."""
DEAR = 8.0
"""Cost of a cell in which the base only fits the narrow way, times that of a free one."""
MOST_POINTS = 24
"""Corners of a way at most."""
SHUT = 1e6


@kernel
def way_points(
    start: np.ndarray,
    goal: np.ndarray,
    boxes: np.ndarray,
    discs: np.ndarray,
    tight: float,
    wide: float,
) -> np.ndarray:
    """Return the corners `[P, 2]` of a short way from start to goal [m], the goal last.

    Args:
        start: Where the base's middle is `[2]`.
        goal: Where it shall be `[2]`.
        boxes: Furniture, middle and half sizes `[B, 4]`.
        discs: Obstacles x, y, radius `[M, 3]`; those of radius 0 are not there.
        tight: Distance of the middle from things that it cannot go below [m].
        wide: Distance from which on nothing is in the way of any heading [m].
    """
    low, size = _area(start, goal, boxes, discs)
    price = np.empty(size)
    for i in range(size[0]):
        for j in range(size[1]):
            gap = _gap(low[0] + CELL * i, low[1] + CELL * j, boxes, discs)
            if gap < tight:
                price[i, j] = SHUT
            else:
                price[i, j] = 1.0 + DEAR * max(wide - gap, 0.0) / (wide - tight)
    first, last = _cell(start, low, size), _cell(goal, low, size)
    cost = _costs(price, last)
    path = _descend(cost, first, last)
    return _corners(path, price, low, goal)


@kernel
def _area(
    start: np.ndarray, goal: np.ndarray, boxes: np.ndarray, discs: np.ndarray
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the lowest corner of what is looked at and its size in cells."""
    low, high = np.minimum(start, goal), np.maximum(start, goal)
    for i in range(len(boxes)):
        for axis in range(2):
            low[axis] = min(low[axis], boxes[i, axis] - boxes[i, 2 + axis])
            high[axis] = max(high[axis], boxes[i, axis] + boxes[i, 2 + axis])
    if len(boxes) == 0:
        low, high = low - 1.5, high + 1.5
    return low, (int((high[0] - low[0]) / CELL) + 2, int((high[1] - low[1]) / CELL) + 2)


@kernel
def _cell(point: np.ndarray, low: np.ndarray, size: tuple[int, int]) -> tuple[int, int]:
    i = min(max(int((point[0] - low[0]) / CELL + 0.5), 0), size[0] - 1)
    j = min(max(int((point[1] - low[1]) / CELL + 0.5), 0), size[1] - 1)
    return i, j


@kernel
def _gap(x: float, y: float, boxes: np.ndarray, discs: np.ndarray) -> float:
    """Return the distance of a point from the nearest thing [m], 0 inside."""
    best = 1e3
    for i in range(len(boxes)):
        over_x = max(abs(x - boxes[i, 0]) - boxes[i, 2], 0.0)
        over_y = max(abs(y - boxes[i, 1]) - boxes[i, 3], 0.0)
        best = min(best, math.sqrt(over_x * over_x + over_y * over_y))
    for i in range(len(discs)):
        if discs[i, 2] > 0.0:
            dx, dy = x - discs[i, 0], y - discs[i, 1]
            best = min(best, max(math.sqrt(dx * dx + dy * dy) - discs[i, 2], 0.0))
    return best


@kernel
def _costs(price: np.ndarray, last: tuple[int, int]) -> np.ndarray:
    """Return the cost to go from each cell: sweeps in four directions until nothing changes."""
    rows, columns = price.shape
    cost = np.full((rows, columns), 1e12)
    cost[last] = 0.0
    changed = True
    while changed:
        changed = False
        for sweep in range(4):
            for a in range(rows):
                i = a if sweep < 2 else rows - 1 - a
                for b in range(columns):
                    j = b if sweep % 2 == 0 else columns - 1 - b
                    best = cost[i, j]
                    for di in range(-1, 2):
                        for dj in range(-1, 2):
                            p, q = i + di, j + dj
                            if p < 0 or q < 0 or p >= rows or q >= columns:
                                continue
                            length = math.sqrt(di * di + dj * dj)
                            new = cost[p, q] + 0.5 * length * (price[i, j] + price[p, q])
                            if new < best - 1e-9:
                                best, changed = new, True
                    cost[i, j] = best
    return cost


@kernel
def _descend(cost: np.ndarray, first: tuple[int, int], last: tuple[int, int]) -> np.ndarray:
    """Return the cells of the cheapest way `[P, 2]`."""
    rows, columns = cost.shape
    path = np.empty((rows * columns, 2), np.int64)
    i, j, count = first[0], first[1], 0
    while count < rows * columns:
        path[count, 0], path[count, 1] = i, j
        count += 1
        if i == last[0] and j == last[1]:
            break
        best, here = cost[i, j], (i, j)
        for di in range(-1, 2):
            for dj in range(-1, 2):
                p, q = here[0] + di, here[1] + dj
                if 0 <= p < rows and 0 <= q < columns and cost[p, q] < best:
                    best, i, j = cost[p, q], p, q
        if (i, j) == here:
            break
    return path[:count]


@kernel
def _corners(path: np.ndarray, price: np.ndarray, low: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Leave out the cells between which the straight line is no dearer than the way."""
    result, count, at = np.empty((MOST_POINTS, 2)), 0, 0
    while at < len(path) - 1 and count < MOST_POINTS - 1:
        reach = at + 1
        total = 0.0
        for ahead in range(at + 1, len(path)):
            step = math.sqrt(
                (path[ahead, 0] - path[ahead - 1, 0]) ** 2
                + (path[ahead, 1] - path[ahead - 1, 1]) ** 2
            )
            before, here = path[ahead - 1], path[ahead]
            total += 0.5 * step * (price[before[0], before[1]] + price[here[0], here[1]])
            if _line(price, path[at], path[ahead]) <= 1.02 * total + 1e-9:
                reach = ahead
        at = reach
        result[count, 0] = low[0] + CELL * path[at, 0]
        result[count, 1] = low[1] + CELL * path[at, 1]
        count += 1
    if count == 0:
        count = 1
    result[count - 1] = goal
    return result[:count]


@kernel
def _line(price: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Return the cost of a straight line between two cells."""
    length = math.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2)
    steps = max(int(2.0 * length), 1)
    total = 0.0
    for k in range(steps):
        share = (k + 0.5) / steps
        i = int(a[0] + share * (b[0] - a[0]) + 0.5)
        j = int(a[1] + share * (b[1] - a[1]) + 0.5)
        total += price[i, j] * length / steps
    return total
