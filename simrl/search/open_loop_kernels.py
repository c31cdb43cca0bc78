"""Numba kernels of open-loop search: choose, advance, expand and back up, without positions.

Every row plays its own simulation step by step; one that ends begins the next at the root.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

GOING, OVER, NEW = 0, 1, 2
"""What a step led to: a known node, the end of the episode or of the depth, or a new node."""


class OpenTree(NamedTuple):
    """Hold B trees of N nodes of K slots; a node is the sequence of slots that leads to it."""

    used: np.ndarray
    """Nodes in use, int64 `[B]`."""
    done: np.ndarray
    """Simulations that were backed up, int64 `[B]`."""
    node: np.ndarray
    """Where the row's simulation is, int64 `[B]`."""
    depth: np.ndarray
    """Steps since the root, int64 `[B]`."""
    child: np.ndarray
    """int32 `[B, N, K]`; -1: not tried."""
    visits: np.ndarray
    """Returns of each slot, int32 `[B, N, K]`."""
    total: np.ndarray
    """Their sum, float64 `[B, N, K]`."""
    prior: np.ndarray
    """float32 `[B, N, K]`; -1 where the slot was not legal when the node was new."""
    raw: np.ndarray
    """Value of the position that was met first, float64 `[B, N]`."""
    path: np.ndarray
    """Nodes on the way, int64 `[B, D]`."""
    slots: np.ndarray
    """Slots on the way, int64 `[B, D]`."""
    reward: np.ndarray
    """float64 `[B, D]`."""
    discount: np.ndarray
    """float64 `[B, D]`."""


@njit(cache=True, nogil=True)
def choose(
    tree: OpenTree,
    numbers: np.ndarray,
    rows: np.ndarray,
    legal: np.ndarray,
    use_legal: bool,
    slot: np.ndarray,
) -> None:
    """Write the slot of PUCT in `slot` `[P]` for each of `rows` `[P]`; -1 where none is legal.

    numbers: c_init, c_base, low, high.  legal: bool `[P, K]`, what may be done in the positions
    that the rows are in now; without `use_legal` it is what was legal when the node was new.
    """
    for p in range(len(rows)):
        slot[p] = _puct(tree, numbers, rows[p], legal[p if use_legal else 0], use_legal)


@njit(cache=True, nogil=True)
def _puct(tree: OpenTree, numbers: np.ndarray, row: int, legal: np.ndarray, use_legal: bool) -> int:
    node = tree.node[row]
    visits, total, prior = tree.visits[row, node], tree.total[row, node], tree.prior[row, node]
    count, mean = 1, tree.raw[row, node]
    for k in range(len(prior)):
        count += visits[k]
        mean += total[k]
    mean /= count
    low, high = mean, mean
    for k in range(len(prior)):
        if visits[k] > 0:
            low, high = min(low, total[k] / visits[k]), max(high, total[k] / visits[k])
    if numbers[3] > numbers[2]:
        low, high = numbers[2], numbers[3]
    span = max(high - low, 1e-8)
    factor = math.sqrt(count) * (numbers[0] + math.log((count + numbers[1] + 1.0) / numbers[1]))
    best, top = -1, -np.inf
    for k in range(len(prior)):
        share = prior[k]
        if use_legal:
            if not legal[k]:
                continue
            if share < 0.0:  # legal now, though not when the node was new
                share = 1.0 / len(prior)
        elif share < 0.0:
            continue
        score = factor * share / (visits[k] + 1)
        if visits[k] > 0:
            score += (total[k] / visits[k] - low) / span
        if score > top:
            best, top = k, score
    return best


@njit(cache=True, nogil=True)
def advance(
    tree: OpenTree,
    rows: np.ndarray,
    slot: np.ndarray,
    reward: np.ndarray,
    discount: np.ndarray,
    max_depth: int,
    what: np.ndarray,
) -> None:
    """Note the step of each of `rows` `[P]` and write what it led to in `what` `[P]`.

    Rows that are OVER at the end of the episode are backed up; those NEW, or at the greatest depth,
    wait for the value of the position that they are in.
    """
    for p in range(len(rows)):
        row, depth = rows[p], tree.depth[rows[p]]
        tree.path[row, depth] = tree.node[row]
        tree.slots[row, depth] = slot[p]
        tree.reward[row, depth] = reward[p]
        tree.discount[row, depth] = discount[p]
        tree.depth[row] = depth + 1
        child = tree.child[row, tree.node[row], slot[p]]
        if discount[p] == 0.0:
            what[p] = OVER
            back_up(tree, row, 0.0)
        elif child < 0 or depth + 1 == max_depth:
            what[p] = NEW
        else:
            what[p] = GOING
            tree.node[row] = child


@njit(cache=True, nogil=True)
def back_up(tree: OpenTree, row: int, value: float) -> None:
    """Carry `value` up the row's path, and put the row back at the root."""
    for step in range(tree.depth[row] - 1, -1, -1):
        node, slot = tree.path[row, step], tree.slots[row, step]
        value = tree.reward[row, step] + tree.discount[row, step] * value
        tree.visits[row, node, slot] += 1
        tree.total[row, node, slot] += value
    tree.node[row] = 0
    tree.depth[row] = 0
    tree.done[row] += 1


@njit(cache=True, nogil=True)
def give_up(tree: OpenTree, rows: np.ndarray) -> None:
    """Back 0 up from where each of `rows` `[P]` stands: nothing is legal there."""
    for p in range(len(rows)):
        back_up(tree, rows[p], 0.0)


@njit(cache=True, nogil=True)
def expand(tree: OpenTree, rows: np.ndarray, logits: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Give each of `rows` `[P]` its new node and back its value up; return the nodes `[P]`.

    logits `[P, K]` and value `[P]` judge the positions that the rows are in.  A row at the greatest
    depth, whose node there exists, gets no other.
    """
    nodes = np.empty(len(rows), np.int64)
    for p in range(len(rows)):
        row = rows[p]
        node, slot = tree.node[row], tree.slots[row, tree.depth[row] - 1]
        nodes[p] = tree.child[row, node, slot]
        if nodes[p] < 0:
            nodes[p] = tree.used[row]
            tree.used[row] += 1
            tree.child[row, node, slot] = nodes[p]
            plant(tree, row, nodes[p], logits[p], value[p])
        back_up(tree, row, value[p])
    return nodes


@njit(cache=True, nogil=True)
def plant_roots(tree: OpenTree, logits: np.ndarray, value: np.ndarray) -> None:
    """Write priors and values of all roots: logits `[B, K]`, value `[B]`."""
    for row in range(len(value)):
        plant(tree, row, 0, logits[row], value[row])


@njit(cache=True, nogil=True)
def plant(tree: OpenTree, row: int, node: int, logits: np.ndarray, value: float) -> None:
    """Write priors softmax(logits `[K]`) and value of a node."""
    top, norm = -np.inf, 0.0
    for k in range(len(logits)):
        top = max(top, logits[k])
    for k in range(len(logits)):
        norm += math.exp(logits[k] - top) if logits[k] > -np.inf else 0.0
    for k in range(len(logits)):
        legal = logits[k] > -np.inf
        tree.prior[row, node, k] = math.exp(logits[k] - top) / norm if legal else -1.0
    tree.raw[row, node] = value
