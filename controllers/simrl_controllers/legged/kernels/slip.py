"""Learn from feet that slip how much friction there is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simrl_controllers.legged.kernels.compile import kernel
from simrl_controllers.legged.tuning import Tuning

SLIP = 0.12
"""Speed along the ground from which on a standing foot slips [m/s]."""
SURE = 0.015
"""Time for which a foot must slip: feet that land move a little on any ground [s]."""
ALIGNED = 0.9
"""Cosine between a foot's force along the ground and its way from which on it slips."""
FADE = 0.3
"""Time constant with which what the ground has held is forgotten [s]."""
SETTLE = 0.05
"""Time after the start in which feet find their place, whatever the ground [s]."""
SAFE = 0.85
"""Share of what the ground has held that is believed in when a foot slips."""
LEAST = 0.08
"""Least friction that is believed in."""
DOUBT = 0.1
"""Time constant with which belief falls while feet slip and their forces are unknown [s]."""
TRUST = 3.0
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

    The ground holds at least what it has held of late: the greatest force along it over the normal
    one.  While a foot slips that is all that it holds.

    Args:
        row: The record.
        tune: The robot's numbers.
        active: Feet that stand `[4]`.
        force: Contact forces of the feet [N] `[4, 3]`; only z where sensors tell no more.
        speed: Velocities of the points of contact [m/s] `[4, 3]`.
    """
    slips = False
    row.grip -= tune.dt / FADE * row.grip
    for leg in range(4):
        if row.slip[leg] < 0.0:
            row.slip[leg] += tune.dt
            continue
        if not active[leg] or row.late[leg] > 0.0 or row.stance[leg] == 0.0:
            row.slip[leg] = 0.0
            continue
        pace = math.sqrt(speed[leg, 0] * speed[leg, 0] + speed[leg, 1] * speed[leg, 1])
        along = math.sqrt(force[leg, 0] * force[leg, 0] + force[leg, 1] * force[leg, 1])
        both = force[leg, 0] * speed[leg, 0] + force[leg, 1] * speed[leg, 1]
        normal = abs(force[leg, 2])
        known = along > 1e-9
        if known and normal > 4.0 * tune.touch:
            row.grip = max(row.grip, along / normal)
        # What a slipping foot exerts on the ground points where it slips.
        if pace < SLIP or normal < 4.0 * tune.touch or (known and both < ALIGNED * along * pace):
            row.slip[leg] = 0.0
            continue
        row.slip[leg] += tune.dt
        if row.slip[leg] < SURE:
            continue
        slips = True
        if known:
            row.friction = min(row.friction, max(LEAST, SAFE * row.grip))
        else:
            share = tune.dt / DOUBT
            row.friction += share * (max(LEAST, 0.5 * row.friction) - row.friction)
    if not slips:
        row.friction += tune.dt / TRUST * (tune.friction - row.friction)
