"""Random rollouts of turn-based games, and whole searches that judge their leaves by them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit, typeof, types

from simrl.search.kernels.choose import NEVER, ZERO
from simrl.search.kernels.grow import AGAIN, FINAL, attach, descend, reserve, visit_again
from simrl.search.kernels.layout import (
    PROVEN,
    STATUS,
    VALUE,
    RootArrays,
    RuleNumbers,
    TreeArrays,
)
from simrl.search.kernels.turn import I64, POINTERS, ROOT, RULE, TREE


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


@njit(nogil=True)
def _grow(
    rules: Rules,
    desk: Desk,
    numbers: RolloutNumbers,
    tree: TreeArrays,
    rule: RuleNumbers,
    row: int,
    parent: int,
    slot: int,
    logits: np.ndarray,
    stream: np.ndarray,
) -> None:
    """Play `slot` at `parent`, judge what it leads to, and back it up."""
    node, size = reserve(tree, row, parent, slot), len(desk.position)
    tree.words[row, node] = tree.words[row, parent]
    position = tree.state[row, node, :size]
    agent = rules.mover(position)
    over = rules.play(position, slot, desk.reward)
    paid = desk.reward[agent]  # what follows uses `desk` again
    discount: Any = ZERO
    value: Any = ZERO
    known = 0
    if not over:
        same = rules.mover(position) == agent
        discount = np.float32(numbers.gamma if same else -numbers.gamma)
        known = open_slots(rules, desk, numbers, position, logits)
        if known != 0:
            value = np.float32(known * numbers.best_value)
        else:
            value = judge(rules, desk, numbers, position, stream, row)
    attach(tree, rule, row, node, paid, discount, logits, value, known != 0)


_FUNCTIONS = POINTERS[:3]
_NUMBERS = typeof(RolloutNumbers(1, 0, 1.0, 0, 1.0))
_STREAMS = types.uint64[::1]

# An explicit signature turns a game's functions into pointers: no game is compiled for by itself.
SIMULATE = types.void(*_FUNCTIONS, I64, I64, _NUMBERS, TREE, ROOT, RULE, _STREAMS, I64, I64, I64)
JUDGE_ROWS = types.void(
    *_FUNCTIONS,
    I64,
    _NUMBERS,
    types.uint8[:, ::1],
    _STREAMS,
    types.float32[:, ::1],
    types.float32[::1],
    types.boolean[::1],
    types.uint8[:, :, ::1],
)


@njit(nogil=True, inline="always")
def _desk(state_size: int, num_slots: int, num_agents: int) -> Desk:
    return Desk(
        np.zeros(state_size, np.uint8),
        np.zeros(num_slots, np.bool_),
        np.zeros(state_size, np.uint8),
        np.zeros(num_slots, np.bool_),
        np.zeros(num_slots, np.float32),
        np.zeros(num_agents, np.float32),
        np.zeros(num_agents, np.float64),
    )


@njit(SIMULATE, nogil=True, cache=True)
def simulate(
    play: Any,
    mover: Any,
    legal: Any,
    num_agents: int,
    state_size: int,
    numbers: RolloutNumbers,
    tree: TreeArrays,
    root: RootArrays,
    rule: RuleNumbers,
    streams: np.ndarray,
    first: int,
    last: int,
    quota: int,
) -> None:
    """Run up to `quota` simulations of each row from `first` to `last` - 1, as far as are left.

    A leaf is worth the mean return of random rollouts; its prior is uniform.  `streams` `[B]` are
    the counters of the rows' random numbers.
    """
    rules, num_slots = Rules(play, mover, legal), tree.child.shape[2]
    desk = _desk(state_size, num_slots, num_agents)
    scratch, logits = np.zeros((4, num_slots), np.float32), np.zeros(num_slots, np.float32)
    for row in range(first, last):
        for _ in range(quota):
            if root.left[row] <= 0 or (rule.solve and tree.ints[row, 0, STATUS] == PROVEN):
                root.left[row] = 0
                break
            root.left[row] -= 1
            parent, slot, met = descend(tree, root, rule, row, scratch)
            child = tree.child[row, parent, slot]
            if met == FINAL:
                visit_again(tree, rule, row, child, tree.values[row, child, VALUE])
            elif met == AGAIN:
                position = tree.state[row, child, :state_size]
                value = judge(rules, desk, numbers, position, streams, row)
                visit_again(tree, rule, row, child, value)
            else:
                _grow(rules, desk, numbers, tree, rule, row, parent, slot, logits, streams)


@njit(JUDGE_ROWS, nogil=True, cache=True)
def judge_rows(
    play: Any,
    mover: Any,
    legal: Any,
    num_agents: int,
    numbers: RolloutNumbers,
    states: np.ndarray,
    streams: np.ndarray,
    logits: np.ndarray,
    value: np.ndarray,
    cut: np.ndarray,
    last: np.ndarray,
) -> None:
    """Judge positions `[B, S]`: write uniform priors `[B, K]` and mean returns `[B]`.

    Where a rollout was stopped before the end, `cut` `[B * rollouts]` says so and `last`
    `[B, rollouts, S]` holds where; unless `last` is empty.  An ended position is worth 0.
    """
    rules = Rules(play, mover, legal)
    desk = _desk(states.shape[1], logits.shape[1], num_agents)
    for row in range(len(states)):
        position = states[row]
        agent, total = mover(position), 0.0
        going = legal(position, desk.mask) > 0
        known = open_slots(rules, desk, numbers, position, logits[row])
        for index in range(numbers.rollouts if going and known == 0 else 0):
            desk.position[:] = position
            over = play_out(rules, desk, numbers, streams, row)
            total += desk.total[agent]
            if last.shape[0] > 0:
                cut[row * numbers.rollouts + index] = not over
                last[row, index] = desk.position
        value[row] = np.float32(known * numbers.best_value + total / numbers.rollouts)
