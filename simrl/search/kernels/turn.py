"""Play turn-based games whose rules are compiled, and say what kernels that search them take.

The rules come in as pointers, so the kernels are compiled once for all games.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, typeof, types

from simrl.search.kernels.choose import ZERO
from simrl.search.kernels.grow import reserve
from simrl.search.kernels.layout import Leaves, Real, RootArrays, RuleNumbers, TreeArrays
from simrl.search.kernels.net import NetNumbers
from simrl.search.kernels.pointers import (
    GAME,
    KINDS,
    take_legal,
    take_mover,
    take_observe,
    take_play,
)

F32, I64 = types.float32, types.int64
POINTERS = KINDS
"""Types of a game's functions, for kernels that take them one by one."""


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
def grow(
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
