"""Solve connect four exactly: who wins under best play, for judging what searches choose.

A position is two 49-bit boards, seven bits a column from its bottom with an empty bit on top:
`own` holds the stones of whoever is to move, `taken` all stones.  The search proves "at least a
draw" or "a win" by null-window alpha-beta with a transposition table; forced replies are found by
bit operations (the representation of Tromp's Fhourstones, the pruning as in Pons's tutorial).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit, types

WIDTH, HEIGHT = 7, 6
CELLS = WIDTH * HEIGHT
TALL = HEIGHT + 1
U = np.uint64
COLUMN = U((1 << HEIGHT) - 1)
BOTTOM = U(sum(1 << (column * TALL) for column in range(WIDTH)))
BOARD = U(int(BOTTOM) * ((1 << HEIGHT) - 1))
ONE, ZERO, VERTICAL = U(1), U(0), U(1)
CENTRE_FIRST = (3, 2, 4, 1, 5, 0, 6)
TABLE_BITS = 22
MIX = U(0x9E3779B97F4A7C15)


class Solver:
    """Solve positions; the table of what was proven stays for the next one."""

    def __init__(self) -> None:
        """Remember 2 ** TABLE_BITS positions for each of the two questions."""
        self._keys = np.zeros((2, 1 << TABLE_BITS), np.uint64)

    def value(self, moves: Sequence[int]) -> int:
        """Return 1, 0 or -1 to whoever is to move after `moves` (columns from 0).

        Raises ValueError where a move is not possible, or where the game is over already.
        """
        own, taken = board(moves)
        return int(_value(own, taken, len(moves), self._keys))

    def move_values(self, moves: Sequence[int]) -> list[int | None]:
        """Return what each column is worth to whoever moves: 1, 0, -1, or None where it is full."""
        own, taken = board(moves)
        values: list[int | None] = []
        for column in range(WIDTH):
            if not playable(taken, column):
                values.append(None)
            elif wins_at(own, taken, column):
                values.append(1)
            else:
                after = taken | (taken + (ONE << U(column * TALL)))
                values.append(-int(_value(own ^ taken, after, len(moves) + 1, self._keys)))
        return values


def board(moves: Sequence[int]) -> tuple[np.uint64, np.uint64]:
    """Return `own` and `taken` after `moves`; ValueError names the first that is not possible."""
    own, taken = ZERO, ZERO
    for index, column in enumerate(moves):
        if not 0 <= column < WIDTH or not playable(taken, column):
            raise ValueError(f"move {index}: column {column} cannot be played in {list(moves)}")
        if wins_at(own, taken, column):
            raise ValueError(f"move {index}: column {column} ends the game {list(moves)}")
        own, taken = own ^ taken, taken | (taken + (ONE << U(column * TALL)))
    return own, taken


def playable(taken: Any, column: int) -> bool:
    """Say whether a column has room."""
    return not taken & (ONE << U(column * TALL + HEIGHT - 1))


def wins_at(own: Any, taken: Any, column: int) -> bool:
    """Say whether a stone in a column that has room completes four of `own`."""
    return bool(_winning(own, taken) & _landing(taken) & (COLUMN << U(column * TALL)))


@njit(types.uint64(types.uint64, types.uint64), nogil=True, cache=True)
def _winning(own: Any, taken: Any) -> Any:
    """Return the empty cells that would complete four stones of `own`."""
    found = (own << U(1)) & (own << U(2)) & (own << U(3))
    for step in (HEIGHT, HEIGHT + 1, HEIGHT + 2):
        by = U(step)
        pair = (own << by) & (own << (U(2) * by))
        found |= pair & (own << (U(3) * by))
        found |= pair & (own >> by)
        pair = (own >> by) & (own >> (U(2) * by))
        found |= pair & (own << by)
        found |= pair & (own >> (U(3) * by))
    return found & (BOARD ^ taken)


@njit(types.uint64(types.uint64), nogil=True, cache=True)
def _landing(taken: Any) -> Any:
    """Return the cells in which a stone can come to lie."""
    return (taken + BOTTOM) & BOARD


@njit(types.uint64(types.uint64, types.uint64), nogil=True, cache=True)
def _not_losing(own: Any, taken: Any) -> Any:
    """Return the moves after which the other cannot win at once."""
    possible, threats = _landing(taken), _winning(own ^ taken, taken)
    forced = possible & threats
    if forced != ZERO:
        if forced & (forced - ONE) != ZERO:
            return ZERO  # two threats at once
        possible = forced
    return possible & ~(threats >> ONE)  # nor may the cell above be one


@njit(types.int64(types.uint64), nogil=True, cache=True)
def _count(bits: Any) -> int:
    count = 0
    while bits != ZERO:
        bits &= bits - ONE
        count += 1
    return count


@njit(
    types.boolean(types.uint64, types.uint64, types.int64, types.int64, types.uint64[:, ::1]),
    nogil=True,
    cache=True,
)
def _reaches(own: Any, taken: Any, stones: int, goal: int, keys: Any) -> bool:
    """Say whether who moves gets at least `goal` (0 or 1) where no move wins at once.

    An entry of `keys[goal]` holds a position and, in its top bit, the answer.
    """
    moves = _not_losing(own, taken)
    if moves == ZERO:
        return False
    if stones >= CELLS - 2:
        return goal == 0
    key = own + taken + BOTTOM  # one number for each position (Tromp)
    place = np.int64((key * MIX) >> U(64 - TABLE_BITS))
    entry = keys[goal, place]
    if entry & ~(ONE << U(63)) == key:
        return (entry >> U(63)) != ZERO
    cells, scores, count = np.empty(WIDTH, np.uint64), np.empty(WIDTH, np.int64), 0
    for column in CENTRE_FIRST:
        cell = moves & (COLUMN << U(column * TALL))
        if cell != ZERO:
            score = _count(_winning(own | cell, taken | cell))
            at = count
            while at > 0 and scores[at - 1] < score:
                cells[at], scores[at] = cells[at - 1], scores[at - 1]
                at -= 1
            cells[at], scores[at] = cell, score
            count += 1
    found = False
    for index in range(count):
        if not _reaches(own ^ taken, taken | cells[index], stones + 1, 1 - goal, keys):
            found = True
            break
    keys[goal, place] = key | (ONE << U(63)) if found else key
    return found


@njit(
    types.int64(types.uint64, types.uint64, types.int64, types.uint64[:, ::1]),
    nogil=True,
    cache=True,
)
def _value(own: Any, taken: Any, stones: int, keys: Any) -> int:
    """Return 1, 0 or -1 to who moves."""
    if stones == CELLS:
        return 0
    if _winning(own, taken) & _landing(taken) != ZERO:
        return 1
    if _reaches(own, taken, stones, 1, keys):
        return 1
    return 0 if _reaches(own, taken, stones, 0, keys) else -1
