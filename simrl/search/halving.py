"""The schedule of sequential halving (Karnin et al. 2013), as visits to look for."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from simrl.search.config import SearchConfig


def halving_table(config: SearchConfig) -> np.ndarray:
    """Return the schedules of a search; one number where its rule needs none."""
    if config.rule != "gumbel":
        return np.zeros((1, 1), np.int32)
    return visits_to_look_for(config.gumbel.considered, config.simulations)


@lru_cache(maxsize=64)
def visits_to_look_for(considered: int, simulations: int) -> np.ndarray:
    """Return int32 `[considered + 1, simulations]`: row m is the schedule of m slots.

    Simulation t goes to the best of the slots that have exactly so many visits.  Each phase gives
    max(1, n / (ceil(log2 m) k)) visits to each of its k slots; then k is halved, down to 2.
    """
    return np.stack([_schedule(m, simulations) for m in range(considered + 1)])


def _schedule(considered: int, simulations: int) -> np.ndarray:
    if considered <= 1:
        return np.arange(simulations, dtype=np.int32)
    phases = math.ceil(math.log2(considered))
    parts, length, visits, kept = [], 0, 0, considered
    while length < simulations:
        extra = max(1, simulations // (phases * kept))
        parts.append(np.repeat(np.arange(visits, visits + extra, dtype=np.int32), kept))
        length += extra * kept
        visits += extra
        kept = max(2, kept // 2)
    return np.concatenate(parts)[:simulations]
