"""Small pure helpers: distances, reach, random numbers."""

import math
from typing import Any

from simrl_envs.moba import records as rec
from simrl_envs.moba.rules.kernel import kernel


@kernel
def distance_squared(game: Any, a: int, b: int) -> float:
    """Return the squared distance of two units [m²]."""
    first = game.units[a]
    second = game.units[b]
    dx = first.x - second.x
    dy = first.y - second.y
    return dx * dx + dy * dy


@kernel
def within(game: Any, table: Any, a: int, b: int, reach: float) -> bool:
    """Say whether the edges of two units are at most `reach` metres apart."""
    first = game.units[a]
    second = game.units[b]
    dx = first.x - second.x
    dy = first.y - second.y
    far = reach + table.kinds[first.kind].radius + table.kinds[second.kind].radius
    return dx * dx + dy * dy <= far * far


@kernel
def head_for(unit: Any, x: float, y: float, step: float) -> None:
    """Set a unit's displacement of one tick towards a point, at most `step` metres long."""
    dx = x - unit.x
    dy = y - unit.y
    distance = math.sqrt(dx * dx + dy * dy)
    if distance > step:
        scale = step / distance
        dx *= scale
        dy *= scale
    unit.vx = dx
    unit.vy = dy


@kernel
def is_seen(unit: Any, team: int) -> bool:
    """Say whether a team sees a living unit."""
    return unit.alive != 0 and (unit.visible >> team) & 1 != 0


@kernel
def direction_vector(table: Any, direction: int) -> tuple[float, float]:
    """Return the world-frame unit vector of a direction index; index + 8 is its exact opposite."""
    return table.directions[direction, 0], table.directions[direction, 1]


@kernel
def world_direction(team: int, direction: int) -> int:
    """Turn a direction of a seat's mirrored frame into the world frame: red's is half a turn on."""
    if team == rec.RED:
        return (direction + rec.NUM_DIRECTIONS // 2) % rec.NUM_DIRECTIONS
    return direction


@kernel
def random_unit(game: Any) -> float:
    """Draw a number in [0, 1) from the game's own generator.

    A 32-bit linear congruential state with the output permutation of PCG-RXS-M-XS (O'Neill 2014),
    in 64-bit integers so that no type mixes.
    """
    state = (game.rng * 747796405 + 2891336453) & 0xFFFFFFFF
    game.rng = state
    word = (((state >> ((state >> 28) + 4)) ^ state) * 277803737) & 0xFFFFFFFF
    word = (word >> 22) ^ word
    return word / 4294967296.0
