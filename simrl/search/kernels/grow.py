"""Walk down a tree to a leaf, attach what the leaf is worth, and back it up to the root."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from simrl.search.kernels.choose import NEVER, ONE, ZERO, choose
from simrl.search.kernels.layout import (
    DISCOUNT,
    EDGE_FIELDS,
    ENDED,
    LOGIT,
    NODE_PENDING,
    NODE_VISITS,
    OPEN,
    PARENT,
    PENDING,
    PROB,
    PROVEN,
    RAW,
    REWARD,
    SLOT,
    STATUS,
    STUCK,
    VALUE,
    VISITS,
    Q,
    Real,
    RootArrays,
    RuleNumbers,
    TreeArrays,
)

# What a walk met.
NEW, AGAIN, FINAL, BUSY = range(4)


@njit(nogil=True, cache=True, forceinline=True)
def spent(tree: TreeArrays, root: RootArrays, rule: RuleNumbers, row: int) -> bool:
    """Say whether a tree simulates no more: its budget is used up, or its root is proven."""
    if rule.solve and tree.ints[row, 0, STATUS] == PROVEN:
        root.left[row] = 0
    return root.left[row] <= 0


@njit(nogil=True, cache=True, forceinline=True)
def descend(
    tree: TreeArrays, root: RootArrays, rule: RuleNumbers, row: int, scratch: np.ndarray
) -> tuple[int, int, int]:
    """Return node, slot and what lies there.

    NEW: the slot was never tried.  AGAIN: its child lies at the depth limit.  FINAL: its child's
    value is final.  BUSY: its child waits for its evaluation.
    """
    node, depth = 0, 0
    while True:
        slot = choose(tree, root, rule, row, node, scratch)
        child = tree.child[row, node, slot]
        depth += 1
        if child < 0:
            busy = tree.edges[row, node, PENDING, slot] > ZERO
            return node, slot, BUSY if busy else NEW
        if tree.ints[row, child, STATUS] != OPEN:
            return node, slot, FINAL
        if depth == rule.max_depth:
            return node, slot, AGAIN
        node = child


@njit(nogil=True, cache=True, forceinline=True)
def reserve(tree: TreeArrays, row: int, parent: int, slot: int) -> int:
    """Take the next free node for `slot` of `parent`; the parent learns of it in `attach`."""
    node = tree.count[row]
    tree.count[row] = node + 1
    tree.ints[row, node, PARENT] = parent
    tree.ints[row, node, SLOT] = slot
    return node


@njit(nogil=True, cache=True)
def wait(tree: TreeArrays, row: int, node: int, sign: int) -> None:
    """Add `sign` waiting leaves to the slots on the way to `node`, and to the nodes they leave."""
    while node != 0:
        parent, slot = tree.ints[row, node, PARENT], tree.ints[row, node, SLOT]
        tree.edges[row, parent, PENDING, slot] += np.float32(sign)
        tree.ints[row, parent, NODE_PENDING] += sign
        node = parent


@njit(nogil=True, cache=True, forceinline=True)
def fill(tree: TreeArrays, row: int, node: int, logits: np.ndarray, value: Real) -> bool:
    """Write prior and value of a node that was never visited; say whether they are usable."""
    edges = tree.edges[row, node]
    top, usable = NEVER, math.isfinite(value)
    for slot in range(edges.shape[1]):
        logit = logits[slot]
        if not logit < np.inf:  # NaN as well
            usable = False
        top = max(top, logit)
    norm = ZERO
    for slot in range(edges.shape[1]):
        prob = math.exp(logits[slot] - top) if logits[slot] > NEVER else ZERO
        norm += prob
        edges[PROB, slot] = prob
    for slot in range(edges.shape[1]):
        edges[VISITS, slot] = ZERO
        edges[Q, slot] = ZERO
        edges[PROB, slot] /= max(norm, ONE)
        edges[LOGIT, slot] = logits[slot]
        edges[REWARD, slot] = ZERO
        edges[DISCOUNT, slot] = ONE
        edges[PENDING, slot] = ZERO
        tree.child[row, node, slot] = -1
    tree.values[row, node, VALUE] = value
    tree.values[row, node, RAW] = value
    tree.ints[row, node, NODE_VISITS] = 1
    tree.ints[row, node, NODE_PENDING] = 0
    tree.ints[row, node, STATUS] = OPEN if top > NEVER else STUCK
    return usable


@njit(nogil=True, cache=True, forceinline=True)
def attach(
    tree: TreeArrays,
    rule: RuleNumbers,
    row: int,
    node: int,
    reward: Real,
    discount: Real,
    logits: np.ndarray,
    value: Real,
    exact: bool = False,
) -> bool:
    """Make a reserved node part of its tree, and back its value up; say whether it is usable.

    Where the discount is 0 the episode has ended: logits and value are not read.  An `exact` value
    counts as proven.
    """
    parent, slot = tree.ints[row, node, PARENT], tree.ints[row, node, SLOT]
    usable = math.isfinite(reward) and math.isfinite(discount)
    if discount == ZERO:
        end(tree, row, node)
    else:
        usable = fill(tree, row, node, logits, value) and usable
        if exact and rule.solve:
            tree.ints[row, node, STATUS] = PROVEN
    edges = tree.edges[row, parent]
    edges[REWARD, slot], edges[DISCOUNT, slot] = reward, discount
    tree.child[row, parent, slot] = node
    back_up(tree, rule, row, node, tree.values[row, node, VALUE])
    return usable


@njit(nogil=True, cache=True, forceinline=True)
def end(tree: TreeArrays, row: int, node: int) -> None:
    """Make `node` the end of an episode: worth 0, without slots."""
    for slot in range(tree.child.shape[2]):
        for which in range(EDGE_FIELDS):
            tree.edges[row, node, which, slot] = NEVER if which == LOGIT else ZERO
        tree.child[row, node, slot] = -1
    tree.values[row, node, VALUE] = ZERO
    tree.values[row, node, RAW] = ZERO
    tree.ints[row, node, NODE_VISITS] = 1
    tree.ints[row, node, NODE_PENDING] = 0
    tree.ints[row, node, STATUS] = ENDED


@njit(nogil=True, cache=True)
def visit_again(tree: TreeArrays, rule: RuleNumbers, row: int, node: int, value: Real) -> None:
    """Count one more visit of `node` that gave `value`, and back it up."""
    visits = np.float32(tree.ints[row, node, NODE_VISITS])
    old = tree.values[row, node, VALUE]
    if tree.ints[row, node, STATUS] == OPEN:
        tree.values[row, node, VALUE] = (old * visits + value) / (visits + ONE)
    tree.ints[row, node, NODE_VISITS] += 1
    back_up(tree, rule, row, node, value)


@njit(nogil=True, cache=True, forceinline=True)
def back_up(tree: TreeArrays, rule: RuleNumbers, row: int, node: int, value: Real) -> None:
    """Add the return of a simulation that ended at `node` to every node and slot above it."""
    settled = rule.solve and (
        tree.ints[row, node, STATUS] == ENDED or tree.ints[row, node, STATUS] == PROVEN
    )
    while node != 0:
        parent, slot = tree.ints[row, node, PARENT], tree.ints[row, node, SLOT]
        edges = tree.edges[row, parent]
        value = edges[REWARD, slot] + edges[DISCOUNT, slot] * value
        edges[VISITS, slot] += ONE
        edges[Q, slot] = edges[REWARD, slot] + edges[DISCOUNT, slot] * tree.values[row, node, VALUE]
        visits = np.float32(tree.ints[row, parent, NODE_VISITS])
        tree.ints[row, parent, NODE_VISITS] += 1
        if settled:
            settled = _prove(tree, rule, row, parent)
        if tree.ints[row, parent, STATUS] == PROVEN:
            value = tree.values[row, parent, VALUE]
        else:
            old = tree.values[row, parent, VALUE]
            tree.values[row, parent, VALUE] = (old * visits + value) / (visits + ONE)
        node = parent


@njit(nogil=True, cache=True)
def _prove(tree: TreeArrays, rule: RuleNumbers, row: int, node: int) -> bool:
    """Mark `node` as proven if a move gives the best value there is, or if all are proven."""
    if tree.ints[row, node, STATUS] == PROVEN:
        return True
    edges = tree.edges[row, node]
    best, all_proven = NEVER, True
    for slot in range(edges.shape[1]):
        if edges[LOGIT, slot] > NEVER:
            child = tree.child[row, node, slot]
            status = OPEN if child < 0 else tree.ints[row, child, STATUS]
            if status in (ENDED, PROVEN):
                best = max(best, edges[Q, slot])
            else:
                all_proven = False
    if best >= rule.best_value or all_proven:
        tree.ints[row, node, STATUS] = PROVEN
        tree.values[row, node, VALUE] = best
        return True
    return False
