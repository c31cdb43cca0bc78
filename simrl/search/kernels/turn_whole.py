"""Search a compiled game with a small network: everything in one call."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from simrl.search.kernels.choose import NEVER, ZERO
from simrl.search.kernels.grow import AGAIN, FINAL, attach, descend, spent, visit_again
from simrl.search.kernels.layout import (
    RAW,
    VALUE,
    Real,
    RootArrays,
    RuleNumbers,
    TreeArrays,
)
from simrl.search.kernels.net import NetNumbers, judge, widest_layer
from simrl.search.kernels.pointers import GAME, take_legal, take_mover, take_observe, take_play
from simrl.search.kernels.turn import F32, I64, NET, ROOT, RULE, TREE, grow


@njit(
    types.UniTuple(I64, 2)(GAME, TREE, ROOT, RULE, NET, I64, I64, F32, I64, I64, I64, I64),
    nogil=True,
    cache=True,
)
def search_turns(
    game: np.ndarray,
    tree: TreeArrays,
    root: RootArrays,
    rule: RuleNumbers,
    net: NetNumbers,
    size: int,
    num_agents: int,
    gamma: Real,
    obs_size: int,
    first: int,
    last: int,
    most: int,
) -> tuple[int, int]:
    """Run up to `most` simulations of each row from `first` to `last` - 1, networks included.

    Returns row and node of the first unusable evaluation, or -1, -1.
    """
    play, mover = take_play(game), take_mover(game)
    legal, observe = take_legal(game), take_observe(game)
    num_slots = tree.child.shape[2]
    scratch, rewards = np.empty((4, num_slots), np.float32), np.zeros(num_agents, np.float32)
    logits, mask = np.zeros(num_slots, np.float32), np.zeros(num_slots, np.bool_)
    obs = np.empty(obs_size, np.float32)
    widest = widest_layer(net, obs_size)
    buffers, picked = np.empty((4, widest), np.float32), np.empty(widest + 1, np.int64)
    for row in range(first, last):
        for _ in range(most):
            if spent(tree, root, rule, row):
                break
            root.left[row] -= 1
            parent, slot, met = descend(tree, root, rule, row, scratch)
            node = tree.child[row, parent, slot]
            if met in (FINAL, AGAIN):
                which = VALUE if met == FINAL else RAW
                visit_again(tree, rule, row, node, tree.values[row, node, which])
                continue
            node, reward, discount = grow(
                play, mover, tree, rule, row, parent, slot, size, gamma, rewards
            )
            value = ZERO
            if discount != ZERO:
                state = tree.state[row, node, :size]
                legal(state, mask)
                observe(state, obs)
                value = judge(net, obs, buffers, picked)
                for index in range(num_slots):
                    logits[index] = buffers[2, index] if mask[index] else NEVER
            if not attach(tree, rule, row, node, reward, discount, logits, value):
                return row, node
    return -1, -1
