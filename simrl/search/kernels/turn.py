"""Search turn-based games whose rules are compiled: no call of the model from Python.

The rules come in as pointers, so these kernels are compiled once for all games.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, typeof, types

from simrl.search.kernels.choose import NEVER, ZERO
from simrl.search.kernels.grow import (
    AGAIN,
    BUSY,
    FINAL,
    attach,
    descend,
    reserve,
    visit_again,
    wait,
)
from simrl.search.kernels.layout import (
    DISCOUNT,
    PROVEN,
    RAW,
    REWARD,
    STATUS,
    VALUE,
    Leaves,
    Real,
    RootArrays,
    RuleNumbers,
    TreeArrays,
)
from simrl.search.kernels.net import NetNumbers, judge
from simrl.search.kernels.pointers import (
    GAME,
    KINDS,
    take_legal,
    take_mover,
    take_observe,
    take_play,
)

F32, I32, I64 = types.float32, types.int32, types.int64
POINTERS = KINDS


def _example() -> tuple[TreeArrays, RootArrays, RuleNumbers, Leaves, NetNumbers]:
    """Return one of each, so that their types can be taken."""
    f, i, one = np.float32, np.int32, np.float32(1)
    tree = TreeArrays(
        edges=np.zeros((1, 1, 1, 1), f),
        child=np.zeros((1, 1, 1), i),
        values=np.zeros((1, 1, 1), f),
        ints=np.zeros((1, 1, 1), i),
        state=np.zeros((1, 1, 8), np.uint8),
        words=np.zeros((1, 1, 1), np.uint64),
        count=np.zeros(1, i),
    )
    grid = np.zeros((1, 1), f)
    root = RootArrays(grid, grid, np.zeros((1, 1), i), np.zeros(1, np.int64), np.zeros(1, i))
    rule = RuleNumbers(0, one, one, one, one, one, one, True, one, 0, True, one, 1, one, one, one)
    leaves = Leaves(np.zeros(1, i), np.zeros(1, i), np.zeros(1, np.bool_))
    row = np.zeros(1, f)
    net = NetNumbers(row, np.zeros((1, 3), np.int64), 1, 1, 0, grid, grid, one, row, row)
    return tree, root, rule, leaves, net


TREE, ROOT, RULE, LEAVES, NET = (typeof(part) for part in _example())
BYTES_2D, BOOL_2D, F32_1D, F32_2D = (
    types.uint8[:, ::1],
    types.boolean[:, ::1],
    types.float32[::1],
    types.float32[:, ::1],
)


@njit(nogil=True, cache=True, forceinline=True)
def _play(
    play: Any, mover: Any, state: np.ndarray, action: int, gamma: Real, rewards: np.ndarray
) -> tuple[Real, Real]:
    """Play one action in place; return the reward to who acted and the signed discount."""
    before = mover(state)
    ended = play(state, action, rewards)
    if ended != 0:
        return rewards[before], ZERO
    return rewards[before], gamma if mover(state) == before else -gamma


@njit(nogil=True, cache=True, forceinline=True)
def _grow(
    play: Any,
    mover: Any,
    tree: TreeArrays,
    rule: RuleNumbers,
    row: int,
    parent: int,
    slot: int,
    size: int,
    gamma: Real,
    rewards: np.ndarray,
) -> tuple[int, Real, Real]:
    """Play `slot` from `parent` into a new node; return node, reward and discount."""
    node = reserve(tree, row, parent, slot)
    for word in range(tree.words.shape[2]):
        tree.words[row, node, word] = tree.words[row, parent, word]
    state = tree.state[row, node, :size]
    reward, discount = _play(play, mover, state, slot, gamma, rewards)
    return node, reward, discount


@njit(
    types.void(GAME, BYTES_2D, I64, F32, I64[::1], F32_1D, F32_1D),
    nogil=True,
    cache=True,
)
def play_rows(
    game: np.ndarray,
    state: np.ndarray,
    num_agents: int,
    gamma: Real,
    action: np.ndarray,
    reward: np.ndarray,
    discount: np.ndarray,
) -> None:
    """Play `action` `[B]` in `state` `[B, S]`, in place; write rewards and signed discounts."""
    play, mover = take_play(game), take_mover(game)
    rewards = np.zeros(num_agents, np.float32)
    for row in range(len(state)):
        reward[row], discount[row] = _play(play, mover, state[row], action[row], gamma, rewards)


@njit(types.void(GAME, BYTES_2D, F32_2D, BOOL_2D), nogil=True, cache=True)
def look_rows(
    game: np.ndarray,
    state: np.ndarray,
    obs: np.ndarray,
    mask: np.ndarray,
) -> None:
    """Write what the mover sees `[B, D]` and may do `[B, K]` in `state` `[B, S]`."""
    legal, observe = take_legal(game), take_observe(game)
    for row in range(len(state)):
        legal(state[row], mask[row])
        observe(state[row], obs[row])


@njit(types.void(GAME, BYTES_2D, I64[::1]), nogil=True, cache=True)
def mover_rows(game: np.ndarray, state: np.ndarray, agent: np.ndarray) -> None:
    """Write whose turn it is `[B]` in `state` `[B, S]`."""
    mover = take_mover(game)
    for row in range(len(state)):
        agent[row] = mover(state[row])


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
            if root.left[row] <= 0 or (rule.solve and tree.ints[row, 0, STATUS] == PROVEN):
                root.left[row] = 0
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
                node, reward, discount = _grow(
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
    widest = max(obs_size, net.plan[:, 1].max())
    buffers, picked = np.empty((4, widest), np.float32), np.empty(widest + 1, np.int64)
    for row in range(first, last):
        for _ in range(min(most, root.left[row])):
            if rule.solve and tree.ints[row, 0, STATUS] == PROVEN:
                root.left[row] = 0
                break
            root.left[row] -= 1
            parent, slot, met = descend(tree, root, rule, row, scratch)
            node = tree.child[row, parent, slot]
            if met in (FINAL, AGAIN):
                which = VALUE if met == FINAL else RAW
                visit_again(tree, rule, row, node, tree.values[row, node, which])
                continue
            node, reward, discount = _grow(
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
