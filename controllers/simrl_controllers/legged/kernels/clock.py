"""Run the gait's clock: which foot shall stand now and in the steps to come."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simrl_controllers.legged.kernels.compile import kernel
from simrl_controllers.legged.tuning import Tuning

LATEST_LIFT = 0.3
"""Progress of a swing after which a foot that still stands waits for its next turn."""

CALM = 0.4
"""Error of the velocity to the side from which on a robot steps faster [m/s]."""
FASTEST = 2.0
"""Factor by which it does so at most."""


@kernel
def wrap(angle: float) -> float:
    """Return an angle within -pi and pi."""
    return angle - 2.0 * math.pi * math.floor(angle / (2.0 * math.pi) + 0.5)


@kernel
def leg_phase(row: Any, leg: int, ahead: float) -> float:
    """Return a leg's place in its cycle, 0 to 1, `ahead` seconds from now."""
    phase = row.phase + row.offset[leg] + ahead / row.period
    return phase - math.floor(phase)


@kernel
def follow_gait(row: Any, tune: Tuning, speed: float, aside: float) -> None:
    """Let period, duty and offsets move towards those of the gait for a commanded speed.

    A robot that is pushed aside steps faster, since a foot can follow only so far to the side.

    Args:
        row: Memory, changed.
        tune: The robot's numbers.
        speed: Commanded speed [m/s].
        aside: Error of the velocity to the side, at least 0 [m/s].
    """
    if speed > tune.fast_speed:
        row.fast = 1.0
    elif speed < 0.9 * tune.fast_speed:
        row.fast = 0.0
    goal = tune.gaits[int(row.fast)]
    share = tune.dt / tune.transition
    row.cycle += max(-share * goal[0], min(share * goal[0], goal[0] - row.cycle))
    row.period = row.cycle / min(1.0 + tune.hurry * max(0.0, aside - CALM), FASTEST)
    row.duty += max(-0.5 * share, min(0.5 * share, goal[1] - row.duty))
    for leg in range(4):
        gap = goal[2 + leg] - row.offset[leg]
        gap -= math.floor(gap + 0.5)
        row.offset[leg] += max(-0.5 * share, min(0.5 * share, gap))


@kernel
def advance_clock(row: Any, tune: Tuning, wanted: bool) -> None:
    """Move the clock on by a step; it stops when all feet stand and nobody wants to move.

    A foot lifts only near the beginning of its swing, so that a clock may start anywhere.
    """
    if row.duty >= 1.0:
        wanted = False
    if wanted and row.moving == 0.0:
        row.moving, row.phase = 1.0, 0.0
    elif row.moving == 1.0:
        row.phase += tune.dt / row.period
        row.phase -= math.floor(row.phase)
    standing = 0
    for leg in range(4):
        swing = swing_progress(row, leg)
        if row.stance[leg] == 0.0:
            row.progress[leg] = swing
            if swing < 0.0 or row.duty >= 1.0:  # its time is over
                row.stance[leg], row.late[leg] = 1.0, 0.0
        elif swing < 0.0:
            row.landed[leg] = 0.0
        elif wanted and row.moving == 1.0 and swing < LATEST_LIFT and row.landed[leg] == 0.0:
            row.stance[leg], row.progress[leg], row.lift[leg] = 0.0, swing, swing
            row.late[leg] = -1.0  # its start is not known yet
        if row.stance[leg] == 1.0:
            standing += 1
    if standing == 4 and not wanted:
        row.moving = 0.0


@kernel
def swing_progress(row: Any, leg: int) -> float:
    """Return how much of a leg's swing is over, 0 to 1; below 0 it is time to stand."""
    return (leg_phase(row, leg, 0.0) - row.duty) / max(1.0 - row.duty, 1e-6)


@kernel
def contact_table(row: Any, tune: Tuning, wanted: bool, table: np.ndarray) -> None:
    """Write which feet stand in each planning step `[N, 4]`."""
    for leg in range(4):
        phase = leg_phase(row, leg, 0.0)
        for k in range(table.shape[0]):
            ahead = (k + 0.5) * tune.mpc_dt
            if row.moving == 0.0 or row.duty >= 1.0:
                table[k, leg] = True
                continue
            if row.stance[leg] == 0.0:
                begins = (1.0 - phase) * row.period
                stands = ahead >= begins
            else:
                rest = row.duty - phase if phase < row.duty else row.duty - phase + 1.0
                begins = rest * row.period
                stands = True
            if ahead >= begins and wanted:
                stands = leg_phase(row, leg, ahead) < row.duty
            table[k, leg] = stands


@kernel
def time_to_land(row: Any, leg: int) -> float:
    """Return the time until a leg's next stance begins [s]."""
    return (1.0 - leg_phase(row, leg, 0.0)) * row.period
