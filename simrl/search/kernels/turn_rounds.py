"""Walk down trees of a compiled game, up to the call that judges the leaves."""

from __future__ import annotations

import numpy as np
from numba import njit

from simrl.search.kernels.choose import ZERO
from simrl.search.kernels.grow import AGAIN, BUSY, FINAL, attach, descend, spent, visit_again, wait
from simrl.search.kernels.layout import (
    DISCOUNT,
    REWARD,
    VALUE,
    Leaves,
    Real,
    RootArrays,
    RuleNumbers,
    TreeArrays,
)
from simrl.search.kernels.pointers import GAME, take_legal, take_mover, take_observe, take_play
from simrl.search.kernels.turn import BOOL_2D, F32, F32_2D, I64, LEAVES, ROOT, RULE, TREE, grow


@njit(
    I64(GAME, TREE, ROOT, RULE, LEAVES, I64, I64, F32, F32_2D, BOOL_2D),
    nogil=True,
    cache=True,
)
def collect_turns(
    game: np.ndarray,
    tree: TreeArrays,
    root: RootArrays,
    rule: RuleNumbers,
    leaves: Leaves,
    size: int,
    num_agents: int,
    gamma: Real,
    obs: np.ndarray,
    mask: np.ndarray,
) -> int:
    """Walk down every tree with budget left and play; return how many leaves wait to be judged.

    Row i of `obs` `[L, D]` and `mask` `[L, K]` belongs to the i-th of them; with D = 0 neither is
    written.  Simulations that ended
    the game or met a final value are complete on return.
    """
    play, mover = take_play(game), take_mover(game)
    legal, observe = take_legal(game), take_observe(game)
    num_slots = tree.child.shape[2]
    scratch, rewards = np.empty((4, num_slots), np.float32), np.zeros(num_agents, np.float32)
    nothing = np.zeros(num_slots, np.float32)
    found = 0
    for row in range(len(tree.count)):
        for _ in range(rule.parallel):
            if spent(tree, root, rule, row):
                break
            parent, slot, met = descend(tree, root, rule, row, scratch)
            if met == BUSY:
                break
            root.left[row] -= 1
            node = tree.child[row, parent, slot]
            if met == FINAL:
                visit_again(tree, rule, row, node, tree.values[row, node, VALUE])
                continue
            if met != AGAIN:
                node, reward, discount = grow(
                    play, mover, tree, rule, row, parent, slot, size, gamma, rewards
                )
                if discount == ZERO:
                    attach(tree, rule, row, node, reward, discount, nothing, ZERO)
                    continue
                tree.edges[row, parent, REWARD, slot] = reward
                tree.edges[row, parent, DISCOUNT, slot] = discount
            if rule.parallel > 1:
                wait(tree, row, node, 1)
            leaves.row[found], leaves.node[found], leaves.again[found] = row, node, met == AGAIN
            if obs.shape[1] > 0:
                legal(tree.state[row, node, :size], mask[found])
                observe(tree.state[row, node, :size], obs[found])
            found += 1
    return found
