"""Numba kernels of a search over decisions and chance: descend, attach, back up, summarise.

A row runs simulation after simulation by itself until one needs the model; then it says what for,
and the caller serves all waiting rows at once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

DECISION, CHANCE = 0, 1
NOTHING, AFTERSTATE, OUTCOME, SAMPLE = 0, 1, 2, 3
"""What a row waits for: nothing, an action's afterstate, a given outcome, or a sampled step."""


class ChanceTree(NamedTuple):
    """Hold B trees with room for N nodes of W slots each: actions or outcomes."""

    used: np.ndarray
    """Nodes in use, int64 `[B]`."""
    done: np.ndarray
    """Simulations that were backed up, int64 `[B]`."""
    at: np.ndarray
    """Node at which the row's present simulation goes on, int64 `[B]`."""
    kind: np.ndarray
    """DECISION or CHANCE, int64 `[B, N]`."""
    parent: np.ndarray
    """int64 `[B, N]`; -1 at the root."""
    slot: np.ndarray
    """Slot of the parent that leads here, int64 `[B, N]`."""
    reward: np.ndarray
    """Reward on the way from the parent, float64 `[B, N]`."""
    discount: np.ndarray
    """Discount on the way from the parent, float64 `[B, N]`; 0: the episode is over here."""
    visits: np.ndarray
    """Returns that passed here, the node's own value included, int64 `[B, N]`."""
    total: np.ndarray
    """Sum of those returns, float64 `[B, N]`."""
    weight: np.ndarray
    """Prior or chance of each slot, float64 `[B, N, W]`, -1 if not legal; of sampled outcomes, how
    often each was drawn."""
    child: np.ndarray
    """Node behind each slot, int64 `[B, N, W]`; -1: none yet."""
    outcomes: np.ndarray
    """Sampled outcomes that a chance node holds, int64 `[B, N]`."""


class ChanceRule(NamedTuple):
    """Hold the numbers of the search."""

    sampled: bool
    c_init: float
    c_base: float
    low: float
    high: float
    """Range of values that PUCT rescales; `low` = `high`: that of each node."""
    open_constant: float
    """Widening of actions; 0: none."""
    open_exponent: float
    keep_constant: float
    """Widening of sampled outcomes."""
    keep_exponent: float


@njit(cache=True, nogil=True)
def descend(
    tree: ChanceTree,
    rule: ChanceRule,
    budget: int,
    at_once: int,
    leaf: np.ndarray,
    slot: np.ndarray,
    need: np.ndarray,
) -> int:
    """Run each row until it needs the model, and return how many rows do.

    Writes what each needs in `need` `[B]`, the node to grow from in `leaf` `[B]` and the slot in
    `slot` `[B]` (for SAMPLE: that of the action).  A row stops at `budget` simulations in all and
    after `at_once` in this call.
    """
    waiting = 0
    for row in range(len(leaf)):
        need[row] = NOTHING
        last = min(budget, tree.done[row] + at_once)
        while tree.done[row] < last and need[row] == NOTHING:
            node = tree.at[row]
            while True:
                if tree.kind[row, node] == DECISION:
                    if node > 0 and tree.discount[row, node] == 0.0:
                        back_up(tree, row, node, 0.0)
                        break
                    chosen = _decide(tree, rule, row, node)
                    wanted = AFTERSTATE
                    if rule.sampled and tree.child[row, node, chosen] < 0:
                        _grow(tree, row, node, chosen, CHANCE, 0.0, 1.0)
                else:
                    if rule.sampled and _may_draw(tree, rule, row, node):
                        leaf[row], slot[row], need[row] = node, tree.slot[row, node], SAMPLE
                        break
                    chosen = _happen(tree, row, node)
                    wanted = OUTCOME
                child = tree.child[row, node, chosen]
                if child < 0:
                    leaf[row], slot[row], need[row] = node, chosen, wanted
                    break
                node = child
        if need[row] != NOTHING:
            waiting += 1
    return waiting


@njit(cache=True, nogil=True)
def _decide(tree: ChanceTree, rule: ChanceRule, row: int, node: int) -> int:
    """Return the slot to open, if widening allows one, else that of PUCT among those tried.

    Values are rescaled over the node and its slots; untried ones count as the worst.
    """
    prior, children = tree.weight[row, node], tree.child[row, node]
    own = tree.total[row, node] / tree.visits[row, node]
    low, high, tried = own, own, 0
    for k in range(len(prior)):
        if children[k] >= 0 and tree.visits[row, children[k]] > 0:
            q = value_of(tree, row, children[k])
            low, high, tried = min(low, q), max(high, q), tried + 1
    visits = tree.visits[row, node]
    widening = rule.open_constant > 0.0
    may_open = widening and tried < max(1, int(rule.open_constant * visits**rule.open_exponent))
    factor = math.sqrt(visits) * (
        rule.c_init + math.log((visits + rule.c_base + 1.0) / rule.c_base)
    )
    if rule.high > rule.low:
        low, high = rule.low, rule.high
    span = max(high - low, 1e-8)
    best, top = 0, -np.inf
    for k in range(len(prior)):
        if prior[k] < 0.0:
            continue
        count, score = 0, 0.0
        if children[k] >= 0 and tree.visits[row, children[k]] > 0:
            count = tree.visits[row, children[k]]
            score = (value_of(tree, row, children[k]) - low) / span
        elif may_open:
            return k  # slots open in their order, as soon as they may
        elif widening:
            continue
        score += factor * prior[k] / (count + 1)
        if score > top:
            best, top = k, score
    return best


@njit(cache=True, nogil=True)
def _happen(tree: ChanceTree, row: int, node: int) -> int:
    """Return the outcome whose visits lag most behind its chance: argmax weight / (N + 1)."""
    weight, children = tree.weight[row, node], tree.child[row, node]
    best, top = 0, -1.0
    for k in range(len(weight)):
        count = tree.visits[row, children[k]] if children[k] >= 0 else 0
        score = weight[k] / (count + 1)
        if score > top:
            best, top = k, score
    return best


@njit(cache=True, nogil=True)
def _may_draw(tree: ChanceTree, rule: ChanceRule, row: int, node: int) -> bool:
    limit = rule.keep_constant * (tree.visits[row, node] + 1) ** rule.keep_exponent
    held = tree.outcomes[row, node]
    return held < max(1, int(limit)) and held < tree.weight.shape[2]


@njit(cache=True, nogil=True)
def value_of(tree: ChanceTree, row: int, child: int) -> float:
    """Return the mean return of the slot that leads to `child`."""
    mean = tree.total[row, child] / tree.visits[row, child]
    return tree.reward[row, child] + tree.discount[row, child] * mean


@njit(cache=True, nogil=True)
def _grow(
    tree: ChanceTree, row: int, parent: int, slot: int, kind: int, reward: float, discount: float
) -> int:
    node = tree.used[row]
    tree.used[row] += 1
    tree.kind[row, node] = kind
    tree.parent[row, node] = parent
    tree.slot[row, node] = slot
    tree.reward[row, node] = reward
    tree.discount[row, node] = discount
    tree.child[row, parent, slot] = node
    return node


@njit(cache=True, nogil=True)
def back_up(tree: ChanceTree, row: int, node: int, value: float) -> None:
    """Carry `value` of `node` to the root, and end the row's simulation."""
    while node >= 0:
        tree.visits[row, node] += 1
        tree.total[row, node] += value
        value = tree.reward[row, node] + tree.discount[row, node] * value
        node = tree.parent[row, node]
    tree.done[row] += 1
    tree.at[row] = 0


@njit(cache=True, nogil=True)
def _set_weights(out: np.ndarray, logits: np.ndarray) -> None:
    """Write softmax(logits `[K]`) into the first K of `out`; -1 elsewhere and for -inf."""
    top, norm = -np.inf, 0.0
    for k in range(len(logits)):
        top = max(top, logits[k])
    for k in range(len(logits)):
        norm += math.exp(logits[k] - top) if logits[k] > -np.inf else 0.0
    for k in range(len(out)):
        legal = k < len(logits) and logits[k] > -np.inf
        out[k] = math.exp(logits[k] - top) / norm if legal else -1.0


@njit(cache=True, nogil=True)
def plant(tree: ChanceTree, logits: np.ndarray, value: np.ndarray) -> None:
    """Put the roots in, by their logits `[B, K]` and values `[B]`."""
    for row in range(len(value)):
        tree.used[row] = 1
        _set_weights(tree.weight[row, 0], logits[row])
        tree.visits[row, 0] = 1
        tree.total[row, 0] = value[row]


@njit(cache=True, nogil=True)
def attach(
    tree: ChanceTree,
    rows: np.ndarray,
    leaf: np.ndarray,
    slot: np.ndarray,
    kind: int,
    reward: np.ndarray,
    discount: np.ndarray,
    logits: np.ndarray,
    value: np.ndarray,
    valued: bool,
) -> None:
    """Add a node of `kind` for each of `rows` `[P]` behind `slot` of its `leaf`, both `[P]`.

    reward, discount and value `[P]`, logits `[P, K or C]`.  Where not `valued`, the simulation goes
    on from the node instead of backing its value up.
    """
    for p in range(len(rows)):
        row = rows[p]
        node = _grow(tree, row, leaf[p], slot[p], kind, reward[p], discount[p])
        _set_weights(tree.weight[row, node], logits[p])
        if valued:
            back_up(tree, row, node, value[p] if discount[p] != 0.0 else 0.0)
        else:
            tree.at[row] = node


@njit(cache=True, nogil=True)
def match(
    tree: ChanceTree,
    states: np.ndarray,
    rows: np.ndarray,
    leaf: np.ndarray,
    after: np.ndarray,
    reward: np.ndarray,
    slot: np.ndarray,
) -> None:
    """Find the drawn positions among the outcomes that their chance nodes hold already.

    states: `[B, N, S]`; after: `[P, S]`; reward: `[P]`.  A known one counts once more and the
    simulation goes on from it; `slot` `[P]` is -1 there, else the slot for the new outcome.
    """
    for p in range(len(rows)):
        row, node = rows[p], leaf[p]
        slot[p] = tree.outcomes[row, node]
        for k in range(tree.outcomes[row, node]):
            child = tree.child[row, node, k]
            same = tree.reward[row, child] == reward[p]
            s = 0
            while same and s < after.shape[1]:
                same = states[row, child, s] == after[p, s]
                s += 1
            if same:
                tree.weight[row, node, k] += 1.0
                tree.at[row] = child
                slot[p] = -1
                break
        if slot[p] >= 0:
            tree.outcomes[row, node] += 1
            tree.weight[row, node, slot[p]] = 1.0


@njit(cache=True, nogil=True)
def summarise(tree: ChanceTree, visits: np.ndarray, q: np.ndarray, value: np.ndarray) -> None:
    """Write visits int64 `[B, K]`, q float64 `[B, K]` and value `[B]` of the roots."""
    for row in range(len(value)):
        value[row] = tree.total[row, 0] / tree.visits[row, 0]
        for k in range(visits.shape[1]):
            child = tree.child[row, 0, k]
            visits[row, k], q[row, k] = 0, 0.0
            if child >= 0 and tree.visits[row, child] > 0:
                visits[row, k] = tree.visits[row, child]
                q[row, k] = value_of(tree, row, child)
