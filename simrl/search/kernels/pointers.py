"""Hand a game's compiled functions to kernels as numbers.

Numba turns a function into a pointer at every call, which takes it 25 µs each.  Here it is done
once: the pointers of a game lie in a small array, from which kernels take them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from simrl.core.turn_rules import LEGAL, MOVER, OBSERVE, PLAY, TurnRules

KINDS = tuple(types.FunctionType(kind) for kind in (PLAY, MOVER, LEGAL, OBSERVE))
WORDS = 4
"""Numbers that one pointer has room for; Numba's own takes three."""
GAME = types.uint64[:, ::1]
"""Type of the array `[4, WORDS]` with a game's functions: play, mover, legal, observe."""


def _place(context: Any, builder: Any, array_type: Any, array: Any, index: int, kind: Any) -> Any:
    """Return where the pointer `index` lies in the array, as the address of a `kind`."""
    game = context.make_array(array_type)(context, builder, array)
    word = builder.gep(game.data, [context.get_constant(types.intp, index * WORDS)])
    return builder.bitcast(word, context.get_value_type(kind).as_pointer())


def _make_pair(index: int) -> tuple[Any, Any]:
    """Make the functions that put the pointer `index` into an array and take it out again."""
    kind = KINDS[index]

    @intrinsic
    def put(typing_context: Any, game: Any, function: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            size = context.get_abi_sizeof(context.get_value_type(kind))
            if size > 8 * WORDS:
                raise ValueError(f"a function takes {size} bytes, there is room for {8 * WORDS}")
            place = _place(context, builder, signature.args[0], args[0], index, kind)
            builder.store(args[1], place)
            return context.get_dummy_value()

        return types.none(game, kind), code

    @intrinsic
    def take(typing_context: Any, game: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.load(_place(context, builder, signature.args[0], args[0], index, kind))

        return kind(game), code

    return put, take


_put_play, take_play = _make_pair(0)
_put_mover, take_mover = _make_pair(1)
_put_legal, take_legal = _make_pair(2)
_put_observe, take_observe = _make_pair(3)


@njit(types.void(GAME, *KINDS), nogil=True, cache=True)
def _pack(game: np.ndarray, play: Any, mover: Any, legal: Any, observe: Any) -> None:
    _put_play(game, play)
    _put_mover(game, mover)
    _put_legal(game, legal)
    _put_observe(game, observe)


@lru_cache(maxsize=256)
def game_pointers(rules: TurnRules) -> np.ndarray:
    """Return the functions of `rules` as kernels take them; they live as long as the program."""
    game = np.zeros((len(KINDS), WORDS), np.uint64)
    _pack(game, rules.play, rules.mover, rules.legal, rules.observe)
    return game
