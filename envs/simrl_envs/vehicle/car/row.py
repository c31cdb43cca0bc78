"""Say where everything lies in a row of the lane task's state."""

from __future__ import annotations

from simrl_envs.vehicle.base import name_parts
from simrl_envs.vehicle.streams import HEADER

X, Y, HEADING, SPEED, STEER, LATERAL_SPEED, YAW_RATE = range(HEADER, HEADER + 7)
"""The car: rear axle in the world [m], heading [rad], forward speed of the rear axle [m/s],
steering angle [rad], lateral speed of the centre of mass [m/s], yaw rate [rad/s]."""
S, D, HEADING_ERROR, CURVATURE = range(HEADER + 7, HEADER + 11)
"""The body's middle on the road: arc length and offset to the left [m], heading against the centre
line [rad], curvature there [1/m]."""
START_S, SQUARED_OFFSET, SPEED_SUM, HIT, OFF_ROAD = range(HEADER + 11, HEADER + 16)
"""Sums for the metrics: arc length at the start, sum of squared offsets and of speeds; how it
ended."""
TRAIL = HEADER + 16
"""First column of the trail: `TRAIL_POINTS` places where the body's middle was."""
TRAIL_POINTS = 24
TRAIL_STEPS = 6
"""Steps between points of the trail."""
OBSTACLES = TRAIL + 2 * TRAIL_POINTS
"""First column of the obstacles: x, y, vx, vy, radius each."""
OBSTACLE_WIDTH = 5
TRACK_WIDTH = 3
"""On the road each obstacle has an arc length, an offset and a speed along it."""
KNOT_WIDTH = 4
"""Each knot of the centre line has x, y, heading and curvature."""


def car_parts(num_obstacles: int, num_knots: int) -> dict[str, slice]:
    """Name the parts of a row, in their order."""
    parts = name_parts(
        car=7,
        road=4,
        figures=5,
        trail=2 * TRAIL_POINTS,
        obstacles=OBSTACLE_WIDTH * num_obstacles,
        obstacle_tracks=TRACK_WIDTH * num_obstacles,
        knots=KNOT_WIDTH * num_knots,
    )
    single = {"x": X, "y": Y, "heading": HEADING, "speed": SPEED, "steer": STEER}
    parts |= {name: slice(column, column + 1) for name, column in single.items()}
    parts["qpos"] = slice(X, HEADING + 1)
    parts["qvel"] = slice(SPEED, YAW_RATE + 1)
    return parts
