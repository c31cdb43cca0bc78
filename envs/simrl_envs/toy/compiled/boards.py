"""Play boards in compiled code: a record's bytes change exactly as `BoardRules` changes them."""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit

from simrl.core.turn_rules import LEGAL, MOVER, OBSERVE, PLAY, TurnRules
from simrl_envs.toy.rules.boards import Board

NOBODY = 0
"""Bytes "owner" and "winner" where there is no player; player p is p + 1."""


@cache
def compile_board(board: Board, record: np.dtype) -> TurnRules:
    """Make a board's compiled functions; in the next process they come from Numba's cache.

    A stone stays in the chosen cell, or falls where the moves are columns.  `record` says where
    its fields lie; the count of steps is taken as little-endian.
    """
    at = {name: int(place[1]) for name, place in (record.fields or {}).items()}
    steps, ended, owner, winner = at["steps"], at["ended"], at["owner"], at["winner"]
    height, width, line = board.height, board.width, board.line
    cells, choices = height * width, len(board.choices)
    falls = choices == width

    # Numba finds a closure in its cache by the values that it closes over: plain numbers alone.

    @njit(PLAY, nogil=True, cache=True)
    def play(state: np.ndarray, action: int, reward: np.ndarray) -> int:
        mover = np.int64(state[steps] & 1)
        _add_one(state, steps)
        cell = action
        if falls:
            while cell + width < cells and state[owner + cell + width] == NOBODY:
                cell += width
        state[owner + cell] = mover + 1
        reward[0] = reward[1] = 0.0
        if _makes_line(state, owner, cell, height, width, line):
            state[winner] = mover + 1
            state[ended] = 1
            reward[mover] = 1.0
            reward[1 - mover] = -1.0
            return 1
        if _any_open(state, owner, choices):
            return 0
        state[ended] = 1
        return 1

    @njit(MOVER, nogil=True, cache=True)
    def mover(state: np.ndarray) -> int:
        return state[steps] & 1

    @njit(LEGAL, nogil=True, cache=True)
    def legal(state: np.ndarray, mask: np.ndarray) -> int:
        count = 0
        for choice in range(choices):
            mask[choice] = state[winner] == NOBODY and state[owner + choice] == NOBODY
            count += mask[choice]
        return count

    @njit(OBSERVE, nogil=True, cache=True)
    def observe(state: np.ndarray, obs: np.ndarray) -> None:
        mover = state[steps] & 1
        for cell in range(cells):
            stone = state[owner + cell]
            obs[cell] = stone == mover + 1
            obs[cells + cell] = stone == 2 - mover
        obs[2 * cells] = state[winner] == NOBODY and _any_open(state, owner, choices)

    return TurnRules(
        state_size=record.itemsize,
        num_agents=2,
        num_actions=choices,
        wait=choices,
        obs_size=2 * cells + 1,
        play=play,
        mover=mover,
        legal=legal,
        observe=observe,
    )


@njit(nogil=True, inline="always")
def _add_one(state: np.ndarray, first: int) -> None:
    """Add one to the number that begins at byte `first`, its least byte first."""
    state[first] += 1
    while state[first] == 0:
        first += 1
        state[first] += 1


@njit(nogil=True, inline="always")
def _any_open(state: np.ndarray, owner: int, choices: int) -> bool:
    """Tell whether a move is left: the first cells are all cells, or the tops of all columns."""
    choice = 0
    while choice < choices and state[owner + choice] != NOBODY:
        choice += 1
    return choice < choices


@njit(nogil=True)
def _makes_line(
    state: np.ndarray, owner: int, cell: int, height: int, width: int, line: int
) -> bool:
    """Tell whether the stone in `cell` stands in a row of `line` stones of its player."""
    y, x = cell // width, cell % width
    stone = state[owner + cell]
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        count = 1
        for sign in (1, -1):
            ny, nx = y + sign * dy, x + sign * dx
            while 0 <= ny < height and 0 <= nx < width:
                if state[owner + ny * width + nx] != stone:
                    break
                count += 1
                ny += sign * dy
                nx += sign * dx
        if count >= line:
            return True
    return False
