"""Play turn-based games on at random, and look a ply or two ahead for wins at hand."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from simrl.search.kernels.choose import NEVER, ZERO


class Rules(NamedTuple):
    """Hold a game's compiled functions."""

    play: Any
    mover: Any
    legal: Any


class RolloutNumbers(NamedTuple):
    """Say how a position is judged."""

    rollouts: int
    """Rollouts of each position, at least 1."""
    max_plies: int
    """Actions after which a rollout stops; 0: at the end of the game."""
    gamma: float
    """Discount of one action."""
    look_ahead: int
    """Plies that a new position is looked ahead for wins at hand: 0, 1 or 2."""
    best_value: float
    """Reward that counts as a win."""


class Desk(NamedTuple):
    """Hold the memory that one row after the other is worked out in."""

    position: np.ndarray
    """uint8 `[S]`."""
    mask: np.ndarray
    """bool `[K]`."""
    after: np.ndarray
    """uint8 `[S]`: a position one action on."""
    replies: np.ndarray
    """bool `[K]`: what is legal there."""
    wins: np.ndarray
    """float32 `[K]`."""
    reward: np.ndarray
    """float32 `[A]`."""
    total: np.ndarray
    """float64 `[A]`."""


@njit(nogil=True, inline="always")
def _scattered(counter: np.uint64) -> np.uint64:
    """Return 64 random bits for a counter: SplitMix64 (Steele, Lea and Flood 2014)."""
    z = counter
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(nogil=True)
def play_out(
    rules: Rules, desk: Desk, numbers: RolloutNumbers, stream: np.ndarray, index: int
) -> bool:
    """Play `desk.position` on at random; `desk.total` gets each agent's return.

    `stream[index]` is the counter of the random numbers.  Return whether the game ended.
    """
    counter, factor, plies = stream[index], 1.0, 0
    desk.total[:] = 0.0
    over = False
    while not over and (numbers.max_plies == 0 or plies < numbers.max_plies):
        count = rules.legal(desk.position, desk.mask)
        if count == 0:
            break
        counter += np.uint64(0x9E3779B97F4A7C15)
        bits = _scattered(counter) >> np.uint64(32)
        left = np.int64((bits * np.uint64(count)) >> np.uint64(32))
        action = 0
        while left > 0 or not desk.mask[action]:
            left -= desk.mask[action]
            action += 1
        over = rules.play(desk.position, action, desk.reward) != 0
        for agent in range(len(desk.total)):
            desk.total[agent] += factor * desk.reward[agent]
        factor *= numbers.gamma
        plies += 1
    stream[index] = counter
    return over


@njit(nogil=True)
def judge(
    rules: Rules,
    desk: Desk,
    numbers: RolloutNumbers,
    position: np.ndarray,
    stream: np.ndarray,
    index: int,
) -> Any:
    """Return the mean return of rollouts from an unfinished `position` to its mover."""
    agent, total = rules.mover(position), 0.0
    for _ in range(numbers.rollouts):
        desk.position[:] = position
        play_out(rules, desk, numbers, stream, index)
        total += desk.total[agent]
    return np.float32(total / numbers.rollouts)


@njit(nogil=True)
def open_slots(
    rules: Rules,
    desk: Desk,
    numbers: RolloutNumbers,
    position: np.ndarray,
    logits: np.ndarray,
) -> int:
    """Write a uniform prior over the legal actions: 0 for those, -inf for the others.

    With `look_ahead` 1, where some actions win at once they alone keep a prior; return 1 then.
    With 2, those that let the other win at once keep none; return -1 if nothing else is left.
    """
    count = rules.legal(position, desk.mask)
    for slot in range(len(logits)):
        logits[slot] = ZERO if desk.mask[slot] else NEVER
    if numbers.look_ahead == 0 or count == 0:
        return 0
    if _wins(rules, desk, numbers, position, desk.mask, logits) > 0:
        return 1
    if numbers.look_ahead == 1 or _leave_out_losing(rules, desk, numbers, position, logits) > 0:
        return 0
    for slot in range(len(logits)):
        logits[slot] = ZERO if desk.mask[slot] else NEVER
    return -1


@njit(nogil=True)
def _leave_out_losing(
    rules: Rules,
    desk: Desk,
    numbers: RolloutNumbers,
    position: np.ndarray,
    logits: np.ndarray,
) -> int:
    """Close the actions of `desk.mask` after which the other wins at once; count what is left."""
    agent, safe = rules.mover(position), 0
    for slot in range(len(logits)):
        if desk.mask[slot]:
            desk.after[:] = position
            over = rules.play(desk.after, slot, desk.reward) != 0
            if not over and rules.mover(desk.after) != agent:
                rules.legal(desk.after, desk.replies)
                if _wins(rules, desk, numbers, desk.after, desk.replies, desk.wins) > 0:
                    logits[slot] = NEVER
                    continue
            safe += 1
    return safe


@njit(nogil=True)
def _wins(
    rules: Rules,
    desk: Desk,
    numbers: RolloutNumbers,
    position: np.ndarray,
    mask: np.ndarray,
    logits: np.ndarray,
) -> int:
    """Count the actions of `mask` that win at once; if there are any, leave them alone open."""
    agent, wins = rules.mover(position), 0
    for slot in range(len(mask)):
        if mask[slot]:
            desk.position[:] = position
            over = rules.play(desk.position, slot, desk.reward)
            if over != 0 and desk.reward[agent] >= numbers.best_value:
                if wins == 0:
                    logits[:] = NEVER
                logits[slot] = ZERO
                wins += 1
    return wins


@njit(nogil=True, inline="always")
def make_desk(state_size: int, num_slots: int, num_agents: int) -> Desk:
    """Make the memory of a game with so many bytes, actions and agents."""
    return Desk(
        np.zeros(state_size, np.uint8),
        np.zeros(num_slots, np.bool_),
        np.zeros(state_size, np.uint8),
        np.zeros(num_slots, np.bool_),
        np.zeros(num_slots, np.float32),
        np.zeros(num_agents, np.float32),
        np.zeros(num_agents, np.float64),
    )
