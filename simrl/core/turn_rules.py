"""Rules of turn-based games as compiled functions, for planners that step millions of positions.

A function is handed to a planner as a pointer with a fixed signature: the planner's kernels are
compiled once and kept, whatever the game.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numba import types

STATE = types.uint8[::1]

PLAY = types.int64(STATE, types.int64, types.float32[::1])
"""`play(state, action, reward)`: change `state` in place, write every agent's `reward` `[A]`, and
return 1 if that ended the game, else 0."""
MOVER = types.int64(STATE)
"""`mover(state)`: return the agent whose turn it is."""
LEGAL = types.int64(STATE, types.boolean[::1])
"""`legal(state, mask)`: write which actions `[K]` the mover has; return how many: 0 when over."""
OBSERVE = types.void(STATE, types.float32[::1])
"""`observe(state, obs)`: write the group "policy" `[D]` as the mover sees it."""


@dataclass(frozen=True)
class TurnRules:
    """Hold the compiled rules of a game in which one agent moves at a time.

    Each function is a `numba.njit` dispatcher with exactly the signature of its constant here, such
    as `@njit(PLAY, nogil=True, cache=True)`.  They get legal actions of unfinished games only, and
    agree with the game's `Dynamics`: the agents that wait then do the one thing that they may.
    """

    state_size: int
    """Bytes S of a state."""
    num_agents: int
    """Number of agents A; the rewards of two agents sum to zero."""
    num_actions: int
    """Number of actions K of the mover: the values 0 to K - 1 of the first head."""
    wait: int
    """Value of the head that agents who are not to move choose."""
    obs_size: int
    """Floats D of the mover's observation."""
    play: Callable[..., Any]
    """Signature `PLAY`."""
    mover: Callable[..., Any]
    """Signature `MOVER`."""
    legal: Callable[..., Any]
    """Signature `LEGAL`."""
    observe: Callable[..., Any]
    """Signature `OBSERVE`."""
