"""Look forward through a small grey camera: one ray for each pixel, in a kernel.

The camera stands above the body's middle and looks ahead, slightly down.  Rays meet the ground
(road, lines, grass) or an obstacle, which is an upright cylinder.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from simrl.core.spec import Block, Column, Layout, vector
from simrl_envs.vehicle.car import config as c
from simrl_envs.vehicle.car import row as r
from simrl_envs.vehicle.car.config import CAR, CarLaneConfig
from simrl_envs.vehicle.car.road import locate, project
from simrl_envs.vehicle.car.task import middle

HEIGHT, WIDTH = 24, 64
MOUNT = 1.6
"""Height of the camera above ground [m]."""
PITCH = 0.25
"""Angle by which it looks down [rad]: the highest row sees the sky, the lowest the ground 3 m ahead
of the body's middle."""
HALF_VIEW = 0.7
"""Tangent of half the horizontal angle of view."""
OBSTACLE_HEIGHT = 1.5  # [m]
SKY, HAZE, GRASS, ROAD, LINE, OBSTACLE = 0.9, 0.75, 0.55, 0.3, 1.0, 0.05
LINE_WIDTH = 0.2  # [m]
DASH = 3.0  # [m]
HAZE_FALL = 0.005
"""Rays that fall less than this meet the sky, others the haze beyond sight."""


def camera_layout(config: CarLaneConfig) -> Layout:
    """Name what a driver has: speed, steering angle, yaw rate and the image."""
    return Layout(
        (
            vector(
                "car",
                Column("speed", 0.0, config.max_speed, "m/s"),
                Column("steer", -CAR.max_steer, CAR.max_steer, "rad"),
                Column("yaw_rate", -12.0, 12.0, "rad/s"),
            ),
            Block("camera", (1, HEIGHT, WIDTH), (Column("grey", 0.0, 1.0),), kind="map"),
        )
    )


@njit(cache=True, nogil=True)
def film_rows(rows: np.ndarray, numbers: np.ndarray, out: np.ndarray) -> None:
    """Write `[B, 1, 3 + HEIGHT * WIDTH]` float32, laid out by `camera_layout`."""
    for i in range(len(rows)):
        row, seen = rows[i], out[i, 0]
        seen[0] = row[r.SPEED]
        seen[1] = row[r.STEER]
        seen[2] = min(max(row[r.YAW_RATE], -12.0), 12.0)
        film(row, numbers, seen[3:].reshape(HEIGHT, WIDTH))


@njit(cache=True, nogil=True)
def film(row: np.ndarray, numbers: np.ndarray, image: np.ndarray) -> None:
    """Write the brightness of every pixel, the top row first.

    Rows are looked at from the nearest to the farthest, each from the middle of the road outwards:
    where the road is found in one place is where it is looked for in the next.
    """
    sides = WIDTH / 2.0
    half_width = numbers[c.HALF_WIDTH]
    discs = gather(row, numbers)
    x, y = middle(row, numbers)
    cos, sin = math.cos(row[r.HEADING]), math.sin(row[r.HEADING])
    start, start_s, last_forward = WIDTH // 2, row[r.S], 0.0
    for v in range(HEIGHT - 1, -1, -1):
        down = (v + 0.5 - HEIGHT / 2.0) / sides * HALF_VIEW
        ahead = math.cos(PITCH) - down * math.sin(PITCH)
        fall = math.sin(PITCH) + down * math.cos(PITCH)
        ground = MOUNT / fall if fall > 1e-6 else math.inf
        forward = ground * ahead
        if ground <= c.SIGHT:
            start_s += forward - last_forward
            last_forward = forward
        guess, rounds, least, nearest = start_s, 4, math.inf, start
        for n in range(WIDTH):
            u = start + n if start + n < WIDTH else WIDTH - 1 - n
            if u == start - 1:  # the right side is done, and the left begins
                guess = start_s
            left = (sides - u - 0.5) / sides * HALF_VIEW
            if nearest_obstacle(discs, ahead, left, fall) < ground:
                image[v, u] = OBSTACLE
                continue
            if ground > c.SIGHT:
                image[v, u] = SKY if fall < HAZE_FALL else HAZE
                continue
            aside = ground * left
            px, py = x + forward * cos - aside * sin, y + forward * sin + aside * cos
            guess, offset = beside(row, numbers, px, py, guess, rounds)
            if rounds > 1:
                start_s, rounds = guess, 1
            image[v, u] = paint(guess, abs(offset), half_width)
            if abs(offset) < least:
                least, nearest = abs(offset), u
        start = nearest


@njit(cache=True, nogil=True)
def beside(
    row: np.ndarray, numbers: np.ndarray, x: float, y: float, guess: float, rounds: int
) -> tuple[float, float]:
    """Return arc length and offset of the place x, y; infinitely far if no place is next to it.

    Newton's method need not converge far from the road, and then lands anywhere on it.
    """
    s, offset, _, _ = project(row, numbers, x, y, guess, rounds)
    if abs(offset) > numbers[c.HALF_WIDTH]:
        return s, offset
    for _ in range(2):
        cx, cy, heading, _ = locate(row, numbers, s)
        along = (x - cx) * math.cos(heading) + (y - cy) * math.sin(heading)
        if abs(along) < 0.2:
            return s, offset
        s, offset, _, _ = project(row, numbers, x, y, s, 4)
    return guess, math.inf


@njit(cache=True, nogil=True)
def paint(s: float, side: float, half_width: float) -> float:
    """Return the brightness of the ground at arc length s and at `side` metres from the middle."""
    if side > half_width:
        return GRASS
    if side > half_width - LINE_WIDTH:
        return LINE
    if side < 0.5 * LINE_WIDTH and math.floor(s / DASH) % 2 == 0:
        return LINE
    return ROAD


@njit(cache=True, nogil=True)
def gather(row: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return x ahead, y to the left and radius `[M, 3]` of the obstacles, seen from the camera.

    One that is behind or out of sight has radius 0.
    """
    count = int(numbers[c.NUM_OBSTACLES])
    discs = np.zeros((count, 3))
    x, y = middle(row, numbers)
    cos, sin = math.cos(row[r.HEADING]), math.sin(row[r.HEADING])
    for i in range(count):
        k = r.OBSTACLES + r.OBSTACLE_WIDTH * i
        dx, dy = row[k] - x, row[k + 1] - y
        discs[i, 0], discs[i, 1] = dx * cos + dy * sin, -dx * sin + dy * cos
        seen = discs[i, 0] > 0.0 and dx * dx + dy * dy < c.SIGHT * c.SIGHT
        discs[i, 2] = row[k + 4] if seen else 0.0
    return discs


@njit(cache=True, nogil=True)
def nearest_obstacle(discs: np.ndarray, ahead: float, left: float, fall: float) -> float:
    """Return how far along the ray the first cylinder is hit; infinity if none is.

    The ray goes `ahead`, to the `left` and down by `fall` [m] for each unit of its length.
    """
    best = math.inf
    square = ahead * ahead + left * left
    for i in range(len(discs)):
        px, py, radius = discs[i, 0], discs[i, 1], discs[i, 2]
        half = px * ahead + py * left
        gap = half * half - square * (px * px + py * py - radius * radius)
        if radius == 0.0 or gap < 0.0:
            continue
        hit = (half - math.sqrt(gap)) / square
        level = MOUNT - hit * fall
        if 0.0 < hit < best and 0.0 <= level <= OBSTACLE_HEIGHT:
            best = hit
    return best
