"""Learn from feet that slip how much friction there is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simrl_controllers.legged.kernels.compile import kernel
from simrl_controllers.legged.tuning import Tuning

SLIP = 0.12
"""Speed along the ground from which on a standing foot slips [m/s]."""
SURE = 0.025
"""Time for which a foot must slip: feet that land move a little on any ground [s]."""
SETTLE = 0.4
"""Time after the start in which feet find their place, whatever the ground [s]."""
SAFE = 0.85
"""Share of the friction that slipping feet showed, which is believed in then."""
LEAST = 0.08
"""Least friction that is believed in."""
DOUBT = 0.1
"""Time constant with which belief falls while feet slip and their forces are unknown [s]."""
TRUST = 8.0
"""Time constant with which belief returns where no foot slips [s]."""


@kernel
def follow_friction(
    row: Any,
    tune: Tuning,
    active: np.ndarray,
    force: np.ndarray,
    speed: np.ndarray,
) -> None:
    """Believe in less friction while feet slip, and slowly in more where they do not.

    A foot that slips shows the friction itself: the force along the ground over the normal one.

    Args:
        row: The record.
        tune: The robot's numbers.
        active: Feet that stand `[4]`.
        force: Contact forces of the feet [N] `[4, 3]`; only z where sensors tell no more.
        speed: Velocities of the points of contact [m/s] `[4, 3]`.
    """
    slips = False
    for leg in range(4):
        if row.slip[leg] < 0.0:
            row.slip[leg] += tune.dt
            continue
        if not active[leg] or row.late[leg] > 0.0 or row.stance[leg] == 0.0:
            row.slip[leg] = 0.0
            continue
        pace = math.sqrt(speed[leg, 0] * speed[leg, 0] + speed[leg, 1] * speed[leg, 1])
        normal = abs(force[leg, 2])
        if pace < SLIP or normal < 4.0 * tune.touch:
            row.slip[leg] = 0.0
            continue
        row.slip[leg] += tune.dt
        if row.slip[leg] < SURE:
            continue
        slips = True
        along = math.sqrt(force[leg, 0] * force[leg, 0] + force[leg, 1] * force[leg, 1])
        if along > 1e-9:
            row.friction = min(row.friction, max(LEAST, SAFE * along / normal))
        else:
            share = tune.dt / DOUBT
            row.friction += share * (max(LEAST, 0.5 * row.friction) - row.friction)
    if not slips:
        row.friction += tune.dt / TRUST * (tune.friction - row.friction)
