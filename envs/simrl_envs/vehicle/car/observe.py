"""Show the lane task as numbers in the car's own frame: rear axle, x forward, y to the left."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from simrl.core.spec import Block, Column, Layout, vector
from simrl_envs.vehicle.car import config as c
from simrl_envs.vehicle.car import row as r
from simrl_envs.vehicle.car.config import CAR, CarLaneConfig
from simrl_envs.vehicle.car.road import locate

PREVIEW = (3.0, 6.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0)
"""Arc lengths ahead of the car at which it sees the centre line [m]."""
PREVIEW_METRES = np.array(PREVIEW)
OBSTACLE_COLUMNS = ("present", "x", "y", "vx", "vy", "radius")
REACH = c.SIGHT + 40.0


def state_layout(config: CarLaneConfig) -> Layout:
    """Name the numbers: the car, the centre line ahead and the obstacles."""
    sides = config.half_width + 4.0
    car = vector(
        "car",
        Column("speed", 0.0, config.max_speed, "m/s"),
        Column("steer", -CAR.max_steer, CAR.max_steer, "rad"),
        Column("lateral_speed", -15.0, 15.0, "m/s"),
        Column("yaw_rate", -12.0, 12.0, "rad/s"),
        Column("offset", -sides, sides, "m"),
        Column("heading_error", -math.pi, math.pi, "rad"),
        Column("curvature", -config.max_curvature - 1e-6, config.max_curvature + 1e-6, "1/m"),
    )
    points = []
    for metres in PREVIEW:
        points += [
            Column(f"x_{metres:g}m", -REACH, REACH, "m"),
            Column(f"y_{metres:g}m", -REACH, REACH, "m"),
            Column(f"curvature_{metres:g}m", -0.101, 0.101, "1/m"),
        ]
    blocks = [car, vector("lane", *points)]
    if config.num_obstacles:
        blocks.append(
            Block(
                "obstacles",
                (config.num_obstacles, len(OBSTACLE_COLUMNS)),
                (
                    Column("present", 0.0, 1.0),
                    Column("x", -c.SIGHT, c.SIGHT, "m"),
                    Column("y", -c.SIGHT, c.SIGHT, "m"),
                    Column("vx", -60.0, 60.0, "m/s"),
                    Column("vy", -60.0, 60.0, "m/s"),
                    Column("radius", 0.0, 5.0, "m"),
                ),
                kind="table",
                present="present",
            )
        )
    return Layout(tuple(blocks))


@njit(cache=True, nogil=True)
def observe_rows(rows: np.ndarray, numbers: np.ndarray, out: np.ndarray) -> None:
    """Write `[B, 1, D]` float32, laid out by `state_layout`, within its ranges."""
    sides = numbers[c.HALF_WIDTH] + 4.0
    for i in range(len(rows)):
        row, seen = rows[i], out[i, 0]
        seen[0] = row[r.SPEED]
        seen[1] = row[r.STEER]
        seen[2] = min(max(row[r.LATERAL_SPEED], -15.0), 15.0)
        seen[3] = min(max(row[r.YAW_RATE], -12.0), 12.0)
        seen[4] = min(max(row[r.D], -sides), sides)
        seen[5] = row[r.HEADING_ERROR]
        seen[6] = row[r.CURVATURE]
        see_lane(row, numbers, seen[7:])
        see_obstacles(row, numbers, seen[7 + 3 * len(PREVIEW_METRES) :])


@njit(cache=True, nogil=True)
def see_lane(row: np.ndarray, numbers: np.ndarray, seen: np.ndarray) -> None:
    """Write x, y and curvature of the centre line at each preview distance."""
    cos, sin = math.cos(row[r.HEADING]), math.sin(row[r.HEADING])
    for k in range(len(PREVIEW_METRES)):
        x, y, _, curvature = locate(row, numbers, row[r.S] + PREVIEW_METRES[k])
        dx, dy = x - row[r.X], y - row[r.Y]
        seen[3 * k] = min(max(dx * cos + dy * sin, -REACH), REACH)
        seen[3 * k + 1] = min(max(-dx * sin + dy * cos, -REACH), REACH)
        seen[3 * k + 2] = curvature


@njit(cache=True, nogil=True)
def see_obstacles(row: np.ndarray, numbers: np.ndarray, seen: np.ndarray) -> None:
    """Write the obstacles in sight: place, velocity relative to the car, radius; others are 0."""
    cos, sin = math.cos(row[r.HEADING]), math.sin(row[r.HEADING])
    drift = row[r.LATERAL_SPEED] - numbers[c.REAR] * row[r.YAW_RATE]
    for i in range(int(numbers[c.NUM_OBSTACLES])):
        k, j = r.OBSTACLES + r.OBSTACLE_WIDTH * i, 6 * i
        seen[j : j + 6] = 0.0
        dx, dy = row[k] - row[r.X], row[k + 1] - row[r.Y]
        if dx * dx + dy * dy > c.SIGHT * c.SIGHT:
            continue
        vx = row[k + 2] * cos + row[k + 3] * sin - row[r.SPEED]
        vy = -row[k + 2] * sin + row[k + 3] * cos - drift
        seen[j] = 1.0
        seen[j + 1] = dx * cos + dy * sin
        seen[j + 2] = -dx * sin + dy * cos
        seen[j + 3] = min(max(vx, -60.0), 60.0)
        seen[j + 4] = min(max(vy, -60.0), 60.0)
        seen[j + 5] = row[k + 4]
