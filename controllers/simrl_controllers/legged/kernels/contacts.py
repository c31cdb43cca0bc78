"""Find out which feet stand on the ground, early and late ones too, and how the ground lies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simrl_controllers.legged.kernels.compile import kernel
from simrl_controllers.legged.tuning import Tuning

EARLIEST_LANDING = 0.5
"""Progress of a swing after which a touch ends it; before, it may be the ground that it left."""
GRACE = 0.03
"""Time for which a foot that stood may be without contact before it reaches for the ground [s]."""


@kernel
def follow_contacts(
    row: Any, tune: Tuning, touch: np.ndarray, feet: np.ndarray, active: np.ndarray
) -> None:
    """Take early landings and missed ground into account; write on which feet to count `[4]`."""
    for leg in range(4):
        if row.stance[leg] == 0.0:
            if row.late[leg] < 0.0:
                row.late[leg], row.held[leg] = 0.0, 0.0
                for k in range(3):
                    row.source[leg, k] = feet[leg, k]
            if touch[leg] and row.progress[leg] > EARLIEST_LANDING:
                row.stance[leg], row.landed[leg], row.late[leg] = 1.0, 1.0, 0.0
        if row.stance[leg] == 1.0:
            row.late[leg] = 0.0 if touch[leg] else row.late[leg] + tune.dt
            if touch[leg]:
                row.held[leg] = 1.0
                for k in range(3):
                    row.ground[leg, k] = feet[leg, k]
                    row.target[leg, k] = feet[leg, k]
        active[leg] = row.held[leg] == 1.0 and row.late[leg] <= GRACE


@kernel
def touching(
    tune: Tuning, row: Any, force: np.ndarray, feet: np.ndarray, known: bool, touch: np.ndarray
) -> None:
    """Write which feet touch the ground: by their forces if known, else by their height."""
    for leg in range(4):
        if known:
            size = math.sqrt(
                force[leg, 0] * force[leg, 0]
                + force[leg, 1] * force[leg, 1]
                + force[leg, 2] * force[leg, 2]
            )
            touch[leg] = size > tune.touch
        else:
            lowest = feet[leg, 2] - tune.radius[leg]
            touch[leg] = lowest < height_at(row, feet[leg, 0], feet[leg, 1]) + 0.003


@kernel
def height_at(row: Any, x: float, y: float) -> float:
    """Return the height of the ground's plane at a place of the world [m]."""
    return row.plane[0] + row.plane[1] * (x - row.origin[0]) + row.plane[2] * (y - row.origin[1])


@kernel
def follow_ground(row: Any, tune: Tuning, place: np.ndarray) -> None:
    """Fit a plane to where the feet last stood, and move the ground's estimate towards it.

    The plane is kept as height under the base and slopes along the world's x and y.
    """
    mx, my, mz = 0.0, 0.0, 0.0
    for leg in range(4):
        mx += 0.25 * row.ground[leg, 0]
        my += 0.25 * row.ground[leg, 1]
        mz += 0.25 * (row.ground[leg, 2] - tune.radius[leg])
    xx, xy, yy, xz, yz = 1e-4, 0.0, 1e-4, 0.0, 0.0
    for leg in range(4):
        x, y = row.ground[leg, 0] - mx, row.ground[leg, 1] - my
        z = row.ground[leg, 2] - tune.radius[leg] - mz
        xx += x * x
        xy += x * y
        yy += y * y
        xz += x * z
        yz += y * z
    area = xx * yy - xy * xy
    slope_x = max(-0.7, min(0.7, (xz * yy - yz * xy) / area))
    slope_y = max(-0.7, min(0.7, (yz * xx - xz * xy) / area))
    share = 1.0 if row.begun == 0.0 else tune.dt / (tune.slope_filter + tune.dt)
    height = height_at(row, place[0], place[1])
    wanted = mz + slope_x * (place[0] - mx) + slope_y * (place[1] - my)
    row.plane[0] = height + share * (wanted - height)
    row.plane[1] += share * (slope_x - row.plane[1])
    row.plane[2] += share * (slope_y - row.plane[2])
    row.origin[0], row.origin[1] = place[0], place[1]
