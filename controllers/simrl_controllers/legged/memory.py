"""Lay out what the controller remembers of each row between steps."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

MEMORY = np.dtype(
    [
        ("begun", "f8"),  # 1 once the first step was seen
        ("phase", "f8"),  # clock of the gait [cycles]
        ("moving", "f8"),  # 1 while the clock runs
        ("cycle", "f8"),  # length of a cycle [s], between gaits on its way to the next one's
        ("period", "f8"),  # the same, shorter while the robot is in a hurry
        ("duty", "f8"),  # share of the cycle in which a foot stands, likewise
        ("offset", "f8", (4,)),  # lead of each leg [cycles], likewise
        ("fast", "f8"),  # 1 while the fast gait is on
        ("stance", "f8", (4,)),  # 1 where the controller counts on the foot
        ("progress", "f8", (4,)),  # of a swing, 0 to 1
        ("lift", "f8", (4,)),  # progress at which the swing began
        ("landed", "f8", (4,)),  # 1 where it ended before its time
        ("held", "f8", (4,)),  # 1 once the foot has touched the ground since its swing
        ("source", "f8", (4, 3)),  # where it began, centre of the foot [m]
        ("target", "f8", (4, 3)),  # where it shall land, centre of the foot [m]
        ("late", "f8", (4,)),  # how long the ground has been missed [s]
        ("ground", "f8", (4, 3)),  # where the foot last touched the ground [m]
        ("plane", "f8", (3,)),  # ground: height at origin [m], slopes along world x and y
        ("origin", "f8", (2,)),  # where that height is [m]
        ("command", "f8", (3,)),  # vx, vy [m/s], yaw rate [rad/s], ramped
        ("place", "f8", (3,)),  # where the base shall be [m]
        ("yaw", "f8"),  # where it shall face [rad]
        ("mean", "f8", (2,)),  # velocity over about a cycle, heading's axes [m/s]
        ("drift", "f8", (2,)),  # integral of the velocity's error, heading's axes [m]
        ("friction", "f8"),  # what the ground is believed to hold
        ("grip", "f8"),  # greatest force along the ground over the normal one, fading
        ("slip", "f8", (4,)),  # how long the foot has slipped [s]
        ("calm", "f8"),  # how long there has been no reason to step [s]
        ("age", "f8"),  # of the plan [s]
        ("plan_position", "f8", (3,)),  # centre of mass when it was made [m]
        ("plan_velocity", "f8", (3,)),  # its velocity [m/s]
        ("plan_rotation", "f8", (3,)),  # roll, pitch, yaw [rad]
        ("plan_omega", "f8", (3,)),  # angular velocity, world [rad/s]
        ("plan_stance", "f8", (4,)),  # feet that were counted on
        ("planned", "f8"),  # 1 once there is a plan
        ("wanted", "f8"),  # 1 while the gait shall go on
        ("load", "f8", (3,)),  # carried: mass [kg], shift of the centre of mass, heading's axes [m]
        ("failures", "f8"),  # plans in a row that failed
    ]
)
"""One row's record, all float64: as a tensor it is `[rows, WIDTH]`."""

WIDTH = MEMORY.itemsize // 8
"""Numbers in a record."""


def fresh_memory(num_rows: int) -> Tensor:
    """Return the memory before the first step `[rows, WIDTH]`."""
    return torch.zeros(num_rows, WIDTH, dtype=torch.float64)


def records(memory: Tensor) -> np.ndarray:
    """View a contiguous memory `[rows, WIDTH]` as records `[rows]`."""
    return np.ndarray(len(memory), MEMORY, memory.numpy())
