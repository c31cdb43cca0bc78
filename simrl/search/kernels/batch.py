"""The steps of a search in which model and evaluator are called from Python, once a simulation."""

from __future__ import annotations

import numpy as np
from numba import njit

from simrl.search.kernels.grow import (
    AGAIN,
    BUSY,
    FINAL,
    attach,
    descend,
    fill,
    reserve,
    spent,
    visit_again,
    wait,
)
from simrl.search.kernels.layout import (
    DISCOUNT,
    PARENT,
    REWARD,
    SLOT,
    VALUE,
    Leaves,
    RootArrays,
    RuleNumbers,
    TreeArrays,
)


@njit(nogil=True, cache=True)
def plant(tree: TreeArrays, fresh: np.ndarray, logits: np.ndarray, value: np.ndarray) -> int:
    """Make the roots of the rows that are `fresh`; return the first that is unusable, or -1."""
    bad = -1
    for row in range(len(fresh)):
        if fresh[row]:
            tree.count[row] = 1
            tree.ints[row, 0, PARENT] = -1
            tree.ints[row, 0, SLOT] = -1
            if not fill(tree, row, 0, logits[row], value[row]) and bad < 0:
                bad = row
    return bad


@njit(nogil=True, cache=True)
def collect(
    tree: TreeArrays,
    root: RootArrays,
    rule: RuleNumbers,
    leaves: Leaves,
    slots: np.ndarray,
    words: np.ndarray,
    scratch: np.ndarray,
) -> int:
    """Walk down every tree with budget left, and return how many leaves wait for an evaluation.

    `words` `[L, S / 8]` gets the position before `slots` `[L]`, or the leaf's own position where it
    is judged again.  Simulations that met a final value are complete on return.
    """
    found = 0
    for row in range(len(tree.count)):
        for _ in range(rule.parallel):
            if spent(tree, root, rule, row):
                break
            parent, slot, met = descend(tree, root, rule, row, scratch)
            if met == BUSY:
                break
            root.left[row] -= 1
            if met == FINAL:
                child = tree.child[row, parent, slot]
                visit_again(tree, rule, row, child, tree.values[row, child, VALUE])
                continue
            again = met == AGAIN
            node = tree.child[row, parent, slot] if again else reserve(tree, row, parent, slot)
            seen = node if again else parent
            for word in range(words.shape[1]):
                words[found, word] = tree.words[row, seen, word]
            if rule.parallel > 1:
                wait(tree, row, node, 1)
            leaves.row[found], leaves.node[found], leaves.again[found] = row, node, again
            slots[found] = slot
            found += 1
    return found


@njit(nogil=True, cache=True)
def keep_positions(
    tree: TreeArrays,
    leaves: Leaves,
    which: np.ndarray,
    state: np.ndarray,
    reward: np.ndarray,
    discount: np.ndarray,
) -> None:
    """Write what the model returned for the leaves `which`: states, rewards and discounts."""
    for index in range(len(which)):
        row, node = leaves.row[which[index]], leaves.node[which[index]]
        for byte in range(state.shape[1]):
            tree.state[row, node, byte] = state[index, byte]
        parent, slot = tree.ints[row, node, PARENT], tree.ints[row, node, SLOT]
        tree.edges[row, parent, REWARD, slot] = reward[index]
        tree.edges[row, parent, DISCOUNT, slot] = discount[index]


@njit(nogil=True, cache=True)
def finish(
    tree: TreeArrays,
    rule: RuleNumbers,
    leaves: Leaves,
    found: int,
    logits: np.ndarray,
    value: np.ndarray,
) -> int:
    """Attach and back up the first `found` leaves; return the first unusable one, or -1.

    logits: `[found, K]`; value: `[found]`.
    """
    if rule.parallel > 1:
        for index in range(found):
            wait(tree, leaves.row[index], leaves.node[index], -1)
    bad = -1
    for index in range(found):
        row, node = leaves.row[index], leaves.node[index]
        if leaves.again[index]:
            usable = np.isfinite(value[index])
            visit_again(tree, rule, row, node, value[index])
        else:
            parent, slot = tree.ints[row, node, PARENT], tree.ints[row, node, SLOT]
            reward = tree.edges[row, parent, REWARD, slot]
            discount = tree.edges[row, parent, DISCOUNT, slot]
            usable = attach(tree, rule, row, node, reward, discount, logits[index], value[index])
        if not usable and bad < 0:
            bad = index
    return bad
