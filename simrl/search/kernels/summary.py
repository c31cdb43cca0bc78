"""Read the roots of finished searches: which slot to play, and what a policy should learn."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from simrl.search.kernels.choose import LOWEST, NEVER, ONE, ZERO, complete_values
from simrl.search.kernels.layout import (
    ENDED,
    GUMBEL,
    LOGIT,
    OPEN,
    PROB,
    PROVEN,
    RAW,
    STATUS,
    VISITS,
    Q,
    RootArrays,
    RuleNumbers,
    TreeArrays,
)


@njit(nogil=True, cache=True)
def summarise(
    tree: TreeArrays,
    root: RootArrays,
    rule: RuleNumbers,
    temperature: float,
    uniform: np.ndarray,
    slots: np.ndarray,
    policy: np.ndarray,
) -> None:
    """Write the slot to play `[B]` and the training target `[B, K]`.

    `uniform` `[B]` in 0..1 decides where the slot is drawn in proportion to visits.
    """
    open_logits = np.empty(policy.shape[1], np.float32)
    for row in range(len(slots)):
        edges = tree.edges[row, 0]
        slots[row] = -1
        for slot in range(len(open_logits)):
            open_logits[slot] = edges[LOGIT, slot]
        if rule.solve:
            slots[row] = _solved(tree, rule, row, open_logits)
        if rule.kind == GUMBEL:
            chosen = _gumbel(tree, root, rule, row, open_logits, policy[row])
        else:
            chosen = _by_visits(edges[VISITS], open_logits, temperature, uniform[row], policy[row])
        if slots[row] < 0:
            slots[row] = chosen
        else:
            for slot in range(len(open_logits)):
                policy[row, slot] = ONE if slot == slots[row] else ZERO


@njit(nogil=True, cache=True)
def _solved(tree: TreeArrays, rule: RuleNumbers, row: int, logits: np.ndarray) -> int:
    """Return the proven best slot, or -1; set the logits of proven losses to -inf otherwise."""
    edges = tree.edges[row, 0]
    proven = tree.ints[row, 0, STATUS] == PROVEN
    best, best_q = -1, NEVER
    for slot in range(len(logits)):
        if logits[slot] > NEVER:
            child = tree.child[row, 0, slot]
            status = OPEN if child < 0 else tree.ints[row, child, STATUS]
            if status in (ENDED, PROVEN):
                if proven and edges[Q, slot] > best_q:
                    best, best_q = slot, edges[Q, slot]
                if not proven and edges[Q, slot] <= -rule.best_value:
                    logits[slot] = NEVER
    return best


@njit(nogil=True, cache=True)
def _by_visits(
    visits: np.ndarray, logits: np.ndarray, temperature: float, uniform: float, policy: np.ndarray
) -> int:
    """Write visit shares; return the most visited slot, or one drawn at the temperature."""
    total, most, best = ZERO, NEVER, 0
    for slot in range(len(visits)):
        count = visits[slot] if logits[slot] > NEVER else ZERO
        policy[slot] = count
        total += count
        if logits[slot] > NEVER and count > most:
            most, best = count, slot
    if total == ZERO:  # nothing but proven losses was tried
        for slot in range(len(visits)):
            policy[slot] = ONE if logits[slot] > NEVER else ZERO
            total += policy[slot]
        most = ONE
    if temperature > 0.0:
        norm = 0.0
        for slot in range(len(visits)):
            norm += (policy[slot] / most) ** (1.0 / temperature)
        below = uniform * norm
        for slot in range(len(visits)):
            if policy[slot] > ZERO:
                best = slot
                below -= (policy[slot] / most) ** (1.0 / temperature)
                if below < 0.0:
                    break
    for slot in range(len(visits)):
        policy[slot] /= total
    return best


@njit(nogil=True, cache=True)
def _gumbel(
    tree: TreeArrays,
    root: RootArrays,
    rule: RuleNumbers,
    row: int,
    logits: np.ndarray,
    policy: np.ndarray,
) -> int:
    """Write softmax(logits + sigma); return the best of the slots visited most in this search."""
    edges = tree.edges[row, 0]
    visits = edges[VISITS]
    complete_values(rule, tree.values[row, 0, RAW], visits, edges[Q], edges[PROB], policy)
    most, top, top_logit = NEVER, NEVER, NEVER
    for slot in range(len(visits)):
        if logits[slot] > NEVER:
            most = max(most, visits[slot] - root.start[row, slot])
            top = max(top, logits[slot] + policy[slot])
            top_logit = max(top_logit, logits[slot])
    best, best_score, norm = 0, NEVER, ZERO
    for slot in range(len(visits)):
        if logits[slot] > NEVER and visits[slot] - root.start[row, slot] == most:
            score = max(LOWEST, root.noise[row, slot] + (logits[slot] - top_logit) + policy[slot])
            if score > best_score:
                best, best_score = slot, score
        policy[slot] = math.exp(logits[slot] + policy[slot] - top)
        norm += policy[slot]
    for slot in range(len(visits)):
        policy[slot] /= norm
    return best
