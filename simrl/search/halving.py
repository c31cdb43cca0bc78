"""The schedule of sequential halving (Karnin et al. 2013), as visits to look for."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np


@lru_cache(maxsize=64)
def visits_to_look_for(considered: int, simulations: int) -> np.ndarray:
    """Return int32 `[considered + 1, simulations]`: row m is the schedule of m slots.

    Simulation t goes to the best of the slots that have exactly so many visits.  Each phase gives
    max(1, n / (ceil(log2 m) k)) visits to each of its k slots; then k is halved, down to 2.
    """
    rows = [_schedule(m, simulations) for m in range(considered + 1)]
    table = np.array(rows, np.int32)
    return table


def _schedule(considered: int, simulations: int) -> list[int]:
    if considered <= 1:
        return list(range(simulations))
    phases = math.ceil(math.log2(considered))
    visits, schedule, kept = [0] * considered, [], considered
    while len(schedule) < simulations:
        for _ in range(max(1, simulations // (phases * kept))):
            schedule += visits[:kept]
            visits[:kept] = [count + 1 for count in visits[:kept]]
        kept = max(2, kept // 2)
    return schedule[:simulations]
