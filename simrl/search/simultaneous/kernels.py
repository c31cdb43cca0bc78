"""Numba kernels of the simultaneous-move search: descend, expand, back up and summarise.

A tree row belongs to one root position.  A node holds statistics for each agent and slot; its
children are found by the joint slot (slots as the digits of one number, agent 0 the lowest) in a
hash table of the row, so memory grows with the nodes and not with the number of joint actions.
A row runs simulation after simulation by itself until one needs a new node: only then must the
caller ask the model and the evaluator, for all rows at once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

REGRET, SMOOTH, UCT = 0, 1, 2
NO_NODE = -1


class JointTree(NamedTuple):
    """Hold the trees of B root positions with room for N nodes, A agents and K slots each."""

    used: np.ndarray
    """Nodes in use, int64 `[B]`."""
    done: np.ndarray
    """Simulations that were backed up, int64 `[B]`."""
    rng: np.ndarray
    """Random stream of the row, uint64 `[B]`."""
    table: np.ndarray
    """Hash table of nodes by parent and joint slot, int64 `[B, H]`, H a power of two; -1: free."""
    parent: np.ndarray
    """int64 `[B, N]`; -1 at the root."""
    joint: np.ndarray
    """Joint slot that led here from the parent, int64 `[B, N]`."""
    reward: np.ndarray
    """Rewards on the way from the parent, float32 `[B, N, A]`."""
    discount: np.ndarray
    """Discount on the way from the parent, float32 `[B, N]`; 0: the game is over here."""
    visits: np.ndarray
    """Returns that passed here, the node's own evaluation included, int64 `[B, N]`."""
    total: np.ndarray
    """Sum of those returns, float64 `[B, N, A]`."""
    prior: np.ndarray
    """Prior probability of each slot, float32 `[B, N, A, K]`; -1: not legal."""
    slot_visits: np.ndarray
    """int64 `[B, N, A, K]`."""
    slot_total: np.ndarray
    """Sum of the agent's returns after the slot, float64 `[B, N, A, K]`."""
    regret: np.ndarray
    """float64 `[B, N, A, K]`."""
    average: np.ndarray
    """Sum of the strategies that regret matching followed, float64 `[B, N, A, K]`."""
    low: np.ndarray
    """Least return of an agent anywhere in the row's tree, float64 `[B, A]`."""
    high: np.ndarray
    """Greatest return, float64 `[B, A]`."""


class Constants(NamedTuple):
    """Hold the numbers of the selection rules."""

    rule: int
    explore: float
    explore_decay: float
    plus: bool
    uct: float
    floor: float
    start: float
    decay: float


@njit(cache=True, nogil=True)
def _unit(rng: np.ndarray, row: int) -> float:
    """Draw a float in [0, 1) from the row's SplitMix64 stream."""
    rng[row] += np.uint64(0x9E3779B97F4A7C15)
    z = rng[row]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) * 2.0**-53


@njit(cache=True, nogil=True)
def _place(node: int, joint: int, mask: int) -> int:
    """Return where the search for (node, joint) starts in a hash table of `mask + 1` places."""
    z = np.uint64(joint) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(node)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((z ^ (z >> np.uint64(31))) & np.uint64(mask))  # type: ignore[return-value]


@njit(cache=True, nogil=True)
def find(tree: JointTree, row: int, node: int, joint: int) -> int:
    """Return the child of `node` by joint slot, or -1."""
    mask = tree.table.shape[1] - 1
    place = _place(node, joint, mask)
    while True:
        child = tree.table[row, place]
        if child < 0 or (tree.parent[row, child] == node and tree.joint[row, child] == joint):
            return child
        place = (place + 1) & mask


@njit(cache=True, nogil=True)
def _insert(tree: JointTree, row: int, child: int) -> None:
    mask = tree.table.shape[1] - 1
    place = _place(tree.parent[row, child], tree.joint[row, child], mask)
    while tree.table[row, place] >= 0:
        place = (place + 1) & mask
    tree.table[row, place] = child


@njit(cache=True, nogil=True)
def _draw(weights: np.ndarray, total: float, unit: float) -> int:
    """Draw an index by weights `[K]` that sum to `total` > 0."""
    left, last = unit * total, 0
    for k in range(len(weights)):
        if weights[k] > 0.0:
            last = k  # if rounding leaves a rest, the last possible one is taken
            left -= weights[k]
            if left < 0.0:
                break
    return last


@njit(cache=True, nogil=True)
def _uct(tree: JointTree, row: int, node: int, agent: int, constant: float) -> int:
    """Return an untried slot by the prior if there is one, else the best by UCT; ties by lot."""
    prior, count = tree.prior[row, node, agent], tree.slot_visits[row, node, agent]
    total = tree.slot_total[row, node, agent]
    low = tree.low[row, agent]
    span = max(tree.high[row, agent] - low, 1e-12)
    log = math.log(max(tree.visits[row, node], 1))
    best, top, ties = 0, -np.inf, 0
    for k in range(len(prior)):
        if prior[k] < 0.0:
            continue
        if count[k] == 0:
            score = 1e9 * (1.0 + prior[k])
        else:
            score = (total[k] / count[k] - low) / span + constant * math.sqrt(log / count[k])
        if score > top:
            best, top, ties = k, score, 1
        elif score == top:
            ties += 1
            if _unit(tree.rng, row) * ties < 1.0:
                best = k
    return best


@njit(cache=True, nogil=True)
def _matched(tree: JointTree, row: int, node: int, agent: int, out: np.ndarray) -> None:
    """Write the strategy `[K]` of regret matching: by positive regret, else the prior."""
    prior, regret = tree.prior[row, node, agent], tree.regret[row, node, agent]
    total = 0.0
    for k in range(len(prior)):
        out[k] = max(regret[k], 0.0) if prior[k] >= 0.0 else 0.0
        total += out[k]
    for k in range(len(prior)):
        out[k] = out[k] / total if total > 0.0 else max(prior[k], 0.0)


@njit(cache=True, nogil=True)
def _choose(
    tree: JointTree, row: int, node: int, agent: int, c: Constants, scratch: np.ndarray
) -> int:
    """Return the slot that `agent` tries next at `node`; `scratch` `[K]` is overwritten."""
    prior = tree.prior[row, node, agent]
    visits = tree.visits[row, node]
    if c.rule == REGRET:
        _matched(tree, row, node, agent, scratch)
        explore = c.explore * max(visits, 1) ** -c.explore_decay
        weight = float(visits) if c.plus else 1.0
        for k in range(len(prior)):
            tree.average[row, node, agent, k] += scratch[k] * weight
            scratch[k] = (1.0 - explore) * scratch[k] + explore * max(prior[k], 0.0)
        return _draw(scratch, 1.0, _unit(tree.rng, row))
    if c.rule == SMOOTH:
        follow = max(c.floor, c.start / (1.0 + c.decay * math.sqrt(visits)))
        if _unit(tree.rng, row) >= follow:
            total = 0.0
            for k in range(len(prior)):
                scratch[k] = tree.slot_visits[row, node, agent, k]
                total += scratch[k]
            if total > 0.0:
                return _draw(scratch, total, _unit(tree.rng, row))
    return _uct(tree, row, node, agent, c.uct)


@njit(cache=True, nogil=True)
def descend(
    tree: JointTree,
    c: Constants,
    budget: int,
    at_once: int,
    max_depth: int,
    leaf: np.ndarray,
    joint: np.ndarray,
) -> int:
    """Run each row until it needs a node, and return how many rows do.

    Writes the node to grow from in `leaf` int64 `[B]` (-1: none needed) and its joint slot in
    `joint` `[B]`.  A row stops at `budget` simulations in all, and after `at_once` in this call.
    """
    agents, slots = tree.prior.shape[2], tree.prior.shape[3]
    scratch, value = np.empty(slots), np.empty(agents)
    waiting = 0
    for row in range(len(leaf)):
        leaf[row] = NO_NODE
        last = min(budget, tree.done[row] + at_once)
        while tree.done[row] < last:
            node, depth = 0, 0
            while True:
                code, base = 0, 1
                for agent in range(agents):
                    code += base * _choose(tree, row, node, agent, c, scratch)
                    base *= slots
                child = find(tree, row, node, code)
                if child < 0:
                    break
                node = child
                depth += 1
                if tree.discount[row, node] == 0.0 or depth == max_depth:
                    break
            if child < 0:
                leaf[row], joint[row] = node, code
                waiting += 1
                break
            for agent in range(agents):
                # A node that is not looked behind gives its mean: its evaluation, or 0 at the end.
                value[agent] = tree.total[row, node, agent] / tree.visits[row, node]
            _back_up(tree, c, row, node, value)
    return waiting


@njit(cache=True, nogil=True)
def _back_up(tree: JointTree, c: Constants, row: int, node: int, value: np.ndarray) -> None:
    """Carry `value` `[A]` of `node` to the root; `value` is overwritten."""
    agents = len(value)
    _count(tree, row, node, value)
    while tree.parent[row, node] >= 0:
        parent, code = tree.parent[row, node], tree.joint[row, node]
        rest = code
        for agent in range(agents):
            value[agent] = tree.reward[row, node, agent] + tree.discount[row, node] * value[agent]
            slot = rest % tree.prior.shape[3]
            rest //= tree.prior.shape[3]
            tree.slot_visits[row, parent, agent, slot] += 1
            tree.slot_total[row, parent, agent, slot] += value[agent]
            tree.low[row, agent] = min(tree.low[row, agent], value[agent])
            tree.high[row, agent] = max(tree.high[row, agent], value[agent])
        if c.rule == REGRET:
            _regrets(tree, row, parent, code, value, c.plus)
        node = parent
        _count(tree, row, node, value)
    tree.done[row] += 1


@njit(cache=True, nogil=True)
def _count(tree: JointTree, row: int, node: int, value: np.ndarray) -> None:
    tree.visits[row, node] += 1
    for agent in range(len(value)):
        tree.total[row, node, agent] += value[agent]


@njit(cache=True, nogil=True)
def outcome(tree: JointTree, row: int, child: int, agent: int) -> float:
    """Return the mean return to `agent` of the joint slot that leads to `child`."""
    mean = tree.total[row, child, agent] / tree.visits[row, child]
    return tree.reward[row, child, agent] + tree.discount[row, child] * mean


@njit(cache=True, nogil=True)
def _regrets(
    tree: JointTree, row: int, node: int, code: int, value: np.ndarray, plus: bool
) -> None:
    """Add what each other slot would have paid, the others' slots unchanged, minus what came.

    What it would have paid is the mean of that joint slot; one never tried leaves its regret.
    With `plus`, regrets do not fall below 0.
    """
    slots = tree.prior.shape[3]
    base = 1
    least = 0.0 if plus else -np.inf
    for agent in range(len(value)):
        taken = (code // base) % slots
        for k in range(slots):
            if k != taken and tree.prior[row, node, agent, k] >= 0.0:
                child = find(tree, row, node, code + (k - taken) * base)
                if child >= 0:
                    gain = outcome(tree, row, child, agent) - value[agent]
                    regret = tree.regret[row, node, agent, k] + gain
                    tree.regret[row, node, agent, k] = max(regret, least)
        base *= slots


@njit(cache=True, nogil=True)
def expand(
    tree: JointTree,
    rows: np.ndarray,
    leaf: np.ndarray,
    joint: np.ndarray,
    reward: np.ndarray,
    discount: np.ndarray,
    logits: np.ndarray,
    value: np.ndarray,
    c: Constants,
) -> None:
    """Add the node that each of `rows` int64 `[P]` waits for, and back its value up.

    leaf, joint: `[B]` as `descend` wrote them; reward `[P, A]`, discount `[P]`, logits `[P, A, K]`
    and value `[P, A]` of the new nodes.
    """
    agents = value.shape[1]
    judged = np.empty(agents)
    for p in range(len(rows)):
        row = rows[p]
        node = tree.used[row]
        tree.used[row] += 1
        tree.parent[row, node] = leaf[row]
        tree.joint[row, node] = joint[row]
        tree.discount[row, node] = discount[p]
        for agent in range(agents):
            tree.reward[row, node, agent] = reward[p, agent]
            judged[agent] = value[p, agent] if discount[p] != 0.0 else 0.0
        set_prior(tree, row, node, logits[p])
        _insert(tree, row, node)
        _back_up(tree, c, row, node, judged)


@njit(cache=True, nogil=True)
def set_prior(tree: JointTree, row: int, node: int, logits: np.ndarray) -> None:
    """Write softmax(logits `[A, K]`) as the prior of `node`; -1 where the logit is -inf."""
    for agent in range(logits.shape[0]):
        top, norm = -np.inf, 0.0
        for k in range(logits.shape[1]):
            top = max(top, logits[agent, k])
        for k in range(logits.shape[1]):
            norm += math.exp(logits[agent, k] - top) if logits[agent, k] > -np.inf else 0.0
        for k in range(logits.shape[1]):
            legal = logits[agent, k] > -np.inf
            share = math.exp(logits[agent, k] - top) / norm if legal else -1.0
            tree.prior[row, node, agent, k] = share


@njit(cache=True, nogil=True)
def summarise(
    tree: JointTree, rule: int, strategy: np.ndarray, q: np.ndarray, value: np.ndarray
) -> None:
    """Write each agent's average strategy at the root, its slots' values and its own value.

    strategy, q: float64 `[B, A, K]`, value: `[B, A]`.  Values are expectations over the joint slots
    that were tried, under the average strategies of the others (q) or of all (value).
    """
    rows, agents, slots = strategy.shape
    weight = np.empty((agents, slots))
    for row in range(rows):
        for agent in range(agents):
            _average(tree, row, agent, rule, strategy[row, agent])
        q[row], value[row], weight[:] = 0.0, 0.0, 0.0
        whole = 0.0
        for child in range(1, tree.used[row]):
            if tree.parent[row, child] != 0:
                continue
            rest, share = tree.joint[row, child], 1.0
            for agent in range(agents):
                share *= strategy[row, agent, rest % slots]
                rest //= slots
            whole += share
            rest = tree.joint[row, child]
            for agent in range(agents):
                slot, others = rest % slots, 1.0
                rest //= slots
                other = tree.joint[row, child]
                for third in range(agents):
                    if third != agent:
                        others *= strategy[row, third, other % slots]
                    other //= slots
                mean = outcome(tree, row, child, agent)
                value[row, agent] += share * mean
                # A whisper of weight keeps q defined where the others never play that part.
                others += 1e-12
                q[row, agent, slot] += others * mean
                weight[agent, slot] += others
        for agent in range(agents):
            if whole > 0.0:
                value[row, agent] /= whole
            else:
                value[row, agent] = tree.total[row, 0, agent] / tree.visits[row, 0]
            for k in range(slots):
                if weight[agent, k] > 0.0:
                    q[row, agent, k] /= weight[agent, k]


@njit(cache=True, nogil=True)
def _average(tree: JointTree, row: int, agent: int, rule: int, out: np.ndarray) -> None:
    total = 0.0
    for k in range(len(out)):
        if rule == REGRET:
            out[k] = tree.average[row, 0, agent, k]
        else:
            out[k] = tree.slot_visits[row, 0, agent, k]
        total += out[k]
    for k in range(len(out)):
        out[k] = out[k] / total if total > 0.0 else max(tree.prior[row, 0, agent, k], 0.0)


@njit(cache=True, nogil=True)
def plant(tree: JointTree, logits: np.ndarray, value: np.ndarray) -> None:
    """Put the roots in, by their logits `[B, A, K]` and values `[B, A]`."""
    for row in range(len(value)):
        tree.used[row] = 1
        set_prior(tree, row, 0, logits[row])
        _count(tree, row, 0, value[row])
