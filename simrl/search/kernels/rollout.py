"""Whole searches that judge their leaves by random rollouts, and rollouts from many positions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, typeof, types

from simrl.search.kernels.choose import ZERO
from simrl.search.kernels.grow import AGAIN, FINAL, attach, descend, reserve, spent, visit_again
from simrl.search.kernels.layout import (
    VALUE,
    RootArrays,
    RuleNumbers,
    TreeArrays,
)
from simrl.search.kernels.play_out import (
    Desk,
    RolloutNumbers,
    Rules,
    judge,
    make_desk,
    open_slots,
    play_out,
)
from simrl.search.kernels.turn import I64, POINTERS, ROOT, RULE, TREE


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
    desk = make_desk(state_size, num_slots, num_agents)
    scratch, logits = np.zeros((4, num_slots), np.float32), np.zeros(num_slots, np.float32)
    for row in range(first, last):
        for _ in range(quota):
            if spent(tree, root, rule, row):
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
    desk = make_desk(states.shape[1], logits.shape[1], num_agents)
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
