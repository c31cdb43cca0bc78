"""Choose a slot of a node: PUCT, Gumbel and UCT, each one or two passes over the slots.

All arithmetic is float32.  `-inf` as a logit marks a slot that may not be chosen.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from simrl.search.kernels.layout import (
    ENDED,
    GUMBEL,
    LOGIT,
    NODE_PENDING,
    NODE_VISITS,
    PENDING,
    PROB,
    PROVEN,
    PUCT,
    RAW,
    STATUS,
    VALUE,
    VISITS,
    Q,
    Real,
    RootArrays,
    RuleNumbers,
    TreeArrays,
)

ZERO, ONE = np.float32(0.0), np.float32(1.0)
TINY, SMALL = np.float32(1.1754944e-38), np.float32(1e-8)
LOWEST = np.float32(-1e9)
NEVER = np.float32(-np.inf)


@njit(nogil=True, cache=True, forceinline=True)
def choose(
    tree: TreeArrays,
    root: RootArrays,
    rule: RuleNumbers,
    row: int,
    node: int,
    scratch: np.ndarray,
) -> int:
    """Return the slot that the next simulation takes at `node`; `scratch` is float32 `[4, K]`."""
    edges = tree.edges[row, node]
    visits, q, logits = edges[VISITS], edges[Q], edges[LOGIT]
    if tree.ints[row, node, NODE_PENDING] > 0 or rule.solve or rule.widen_constant > ZERO:
        _look_through(tree, rule, row, node, scratch)
        visits, q, logits = scratch[0], scratch[1], scratch[2]
    count = np.float32(tree.ints[row, node, NODE_VISITS] + tree.ints[row, node, NODE_PENDING])
    if rule.kind == PUCT:
        value = tree.values[row, node, VALUE]
        return _puct(rule, count, value, visits, q, edges[PROB], logits)
    if rule.kind == GUMBEL:
        sigma = scratch[3]
        raw = tree.values[row, node, RAW]
        complete_values(rule, raw, visits, q, edges[PROB], sigma)
        if node == 0:
            return _gumbel_root(root, row, visits, logits, sigma)
        return _gumbel_inner(visits, logits, sigma)
    return _uct(rule, count, visits, q, logits, root.ties[row], node)


@njit(nogil=True, cache=True)
def _look_through(
    tree: TreeArrays, rule: RuleNumbers, row: int, node: int, scratch: np.ndarray
) -> None:
    """Write visits, q and logits as waiting leaves, proven slots and widening leave them.

    A proven loss is closed.  For PUCT and UCT another proven slot counts as visited without end, so
    that it is worth its value and nothing in exploration.
    """
    edges = tree.edges[row, node]
    value = tree.values[row, node, VALUE]
    may_open = edges.shape[1]
    if rule.widen_constant > ZERO:
        visits = np.float32(tree.ints[row, node, NODE_VISITS])
        may_open = max(1, int(rule.widen_constant * visits**rule.widen_exponent))
    for slot in range(edges.shape[1]):
        visits, pending = edges[VISITS, slot], edges[PENDING, slot]
        q, logit = edges[Q, slot], edges[LOGIT, slot]
        if pending > ZERO:
            q = (q if visits > ZERO else value) - rule.virtual_loss * pending / (visits + pending)
        if logit > NEVER:
            child = tree.child[row, node, slot]
            if may_open <= 0:
                logit = NEVER
            elif rule.solve and child >= 0 and tree.ints[row, child, STATUS] in (ENDED, PROVEN):
                if q <= -rule.best_value:
                    logit = NEVER
                elif rule.kind != GUMBEL:
                    visits = np.float32(np.inf)
            may_open -= 1
        scratch[0, slot], scratch[1, slot], scratch[2, slot] = visits + pending, q, logit


@njit(nogil=True, cache=True, forceinline=True)
def _puct(
    rule: RuleNumbers,
    count: Real,
    value: Real,
    visits: np.ndarray,
    q: np.ndarray,
    prob: np.ndarray,
    logits: np.ndarray,
) -> int:
    """Return argmax of q rescaled to 0..1 + prior * sqrt(n) * c(n) / (1 + n_a)."""
    low, high = rule.low, rule.high
    if low == high:
        low = high = value
        for slot in range(len(q)):
            known = q[slot]
            known = known if visits[slot] > ZERO else value
            low, high = min(low, known), max(high, known)
    scale = ONE / max(high - low, SMALL)
    growth = math.log((count + rule.c_base + ONE) / rule.c_base)
    explore = math.sqrt(count) * (rule.c_init + growth)
    best, best_score = -1, NEVER
    for slot in range(len(q)):
        worth, count_here = (q[slot] - low) * scale, visits[slot]
        score = explore * prob[slot] / (ONE + count_here)
        score += worth if count_here > ZERO else ZERO
        better = logits[slot] > NEVER and score > best_score
        best = slot if better else best
        best_score = score if better else best_score
    return best


@njit(nogil=True, cache=True, forceinline=True)
def complete_values(
    rule: RuleNumbers,
    raw: Real,
    visits: np.ndarray,
    q: np.ndarray,
    prob: np.ndarray,
    sigma: np.ndarray,
) -> None:
    """Write sigma(completed q) `[K]`: untried slots count as the mixed value."""
    total, most, seen, weighted = ZERO, ZERO, ZERO, ZERO
    for slot in range(len(q)):
        count, weight = visits[slot], max(TINY, prob[slot])
        weight = weight if count > ZERO else ZERO
        total += count
        most = max(most, count)
        seen += weight
        weighted += weight * q[slot]
    if total == ZERO and rule.rescale:
        for slot in range(len(q)):
            sigma[slot] = ZERO
        return
    mixed = (raw + total * (weighted / max(seen, TINY))) / (total + ONE)
    low, high = np.float32(np.inf), NEVER
    for slot in range(len(q)):
        value = q[slot]
        value = value if visits[slot] > ZERO else mixed
        sigma[slot] = value
        low, high = min(low, value), max(high, value)
    factor = (rule.visit_offset + most) * rule.value_scale
    shift = low if rule.rescale else ZERO
    factor = factor / max(high - low, SMALL) if rule.rescale else factor
    for slot in range(len(q)):
        sigma[slot] = (sigma[slot] - shift) * factor


@njit(nogil=True, cache=True, forceinline=True)
def _gumbel_root(
    root: RootArrays, row: int, visits: np.ndarray, logits: np.ndarray, sigma: np.ndarray
) -> int:
    """Return the best slot among those with as many visits as sequential halving looks for."""
    used, num_legal, top = ZERO, 0, NEVER
    for slot in range(len(visits)):
        used += visits[slot] - root.start[row, slot]
        if logits[slot] > NEVER:
            num_legal += 1
            top = max(top, logits[slot])
    table = root.table
    step = min(int(used), table.shape[1] - 1)
    wanted = np.float32(table[min(num_legal, table.shape[0] - 1), step])
    best, best_score, other, other_score = -1, NEVER, -1, NEVER
    for slot in range(len(visits)):
        if logits[slot] > NEVER:
            score = max(LOWEST, root.noise[row, slot] + (logits[slot] - top) + sigma[slot])
            if visits[slot] - root.start[row, slot] == wanted:
                if score > best_score:
                    best, best_score = slot, score
            elif score > other_score:
                other, other_score = slot, score
    return best if best >= 0 else other


@njit(nogil=True, cache=True, forceinline=True)
def _gumbel_inner(visits: np.ndarray, logits: np.ndarray, sigma: np.ndarray) -> int:
    """Return argmax of softmax(logits + sigma) - n_a / (1 + sum n)."""
    top, total = NEVER, ZERO
    for slot in range(len(visits)):
        total += visits[slot]
        sigma[slot] += logits[slot]
        top = max(top, sigma[slot])
    norm = ZERO
    for slot in range(len(visits)):
        sigma[slot] = math.exp(sigma[slot] - top)
        norm += sigma[slot]
    best, best_score = -1, NEVER
    for slot in range(len(visits)):
        score = sigma[slot] / norm - visits[slot] / (ONE + total)
        better = logits[slot] > NEVER and score > best_score
        best = slot if better else best
        best_score = score if better else best_score
    return best


@njit(nogil=True, cache=True, forceinline=True)
def _uct(
    rule: RuleNumbers,
    count: Real,
    visits: np.ndarray,
    q: np.ndarray,
    logits: np.ndarray,
    ties: int,
    node: int,
) -> int:
    """Return an untried slot of the highest logit, or else argmax of q + c sqrt(ln n / n_a)."""
    num_slots = len(q)
    first = 0
    if ties != 0:
        mixed = (ties + node) * 6364136223846793005 + 1442695040888963407
        first = int((mixed >> 33) % num_slots)
    log_count = math.log(count)
    best, best_score, untried, untried_logit = -1, NEVER, -1, NEVER
    for index in range(num_slots):
        slot = index + first
        slot = slot - num_slots if slot >= num_slots else slot
        if logits[slot] > NEVER:
            if visits[slot] == ZERO:
                if logits[slot] > untried_logit:
                    untried, untried_logit = slot, logits[slot]
            else:
                score = q[slot] + rule.exploration * math.sqrt(log_count / visits[slot])
                if score > best_score:
                    best, best_score = slot, score
    return untried if untried >= 0 else best
