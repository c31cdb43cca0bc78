"""Write a bot's intent as an action: button and heads, in the agent's own mirrored frame.

Strategy thinks in world positions and unit ids; here they become the 16 directions, 4 distances
and target slots of the action. A direction between two of the sixteen is rounded up or down at
random in proportion (`dither` in [0, 1)), so that a walk is straight on average and two equal bots
do not play one exactly mirrored game for ever.
"""

from math import atan2, floor, pi, sqrt
from typing import Any, Final

import numpy as np

from simrl_envs.moba.bots.senses import team_of
from simrl_envs.moba.records import (
    AIM_POINT,
    BUTTON_ATTACK,
    BUTTON_BUY,
    BUTTON_MOVE,
    BUTTON_NONE,
    BUTTON_RECALL,
    BUTTON_SKILL,
    HEAD_BUTTON,
    HEAD_DIRECTION,
    HEAD_DISTANCE,
    HEAD_MOVE,
    HEAD_TARGET,
    NUM_CREEP_TARGETS,
    NUM_DIRECTIONS,
    NUM_DISTANCES,
    structure_begin,
    team_size,
)
from simrl_envs.moba.rules.kernel import kernel

OWN_SEED: Final = -1  # draw from the game's seed and tick, not from a seed of the call
ROUNDED: Final = 0.5  # dither that rounds a direction to the nearest
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_A: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B: Final = np.uint64(0x94D049BB133111EB)


@kernel
def uniform(seed: int, index: int) -> float:
    """Return a number in [0, 1) that depends on `seed` and `index` alone (splitmix64)."""
    z = np.uint64(seed) + np.uint64(index + 1) * _MIX
    z = (z ^ (z >> np.uint64(30))) * _MIX_A
    z = (z ^ (z >> np.uint64(27))) * _MIX_B
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@kernel
def dither_of(game: Any, seat: int, seed: int, row: int) -> float:
    """Return this decision's dither of one row, from the call's seed or from the game's own."""
    if seed != OWN_SEED:
        return uniform(seed, row)
    return uniform(game.seed, 2 * game.tick * game.heroes.shape[0] + seat)


@kernel
def order_none(action: Any) -> None:
    """Do nothing."""
    action[HEAD_BUTTON] = BUTTON_NONE
    action[HEAD_MOVE] = 0
    action[HEAD_DIRECTION] = 0
    action[HEAD_DISTANCE] = 0
    action[HEAD_TARGET] = 0


@kernel
def direction_of(dx: float, dy: float, team: int, dither: float) -> int:
    """Return the direction index of a world displacement in the frame of `team`.

    Args:
        dx: World displacement along x [m].
        dy: World displacement along y [m].
        team: 0 for blue; red sees the world rotated by 180 degrees.
        dither: In [0, 1); `ROUNDED` gives the nearest direction.
    """
    sign = 1.0 if team == 0 else -1.0
    # Adding 0 makes −0 a plain 0, for which atan2 would answer half a turn off.
    turn = atan2(sign * dy + 0.0, sign * dx + 0.0) * (NUM_DIRECTIONS / (2.0 * pi))
    return floor(turn + dither) % NUM_DIRECTIONS


@kernel
def order_move(game: Any, seat: int, x: float, y: float, dither: float, action: Any) -> None:
    """Walk towards a world position; stand when it is less than a step away."""
    dx, dy = x - game.units[seat].x, y - game.units[seat].y
    if dx * dx + dy * dy < 0.16:
        order_none(action)
        return
    order_none(action)
    action[HEAD_BUTTON] = BUTTON_MOVE
    action[HEAD_MOVE] = direction_of(dx, dy, team_of(game, seat), dither)


@kernel
def slot_of(game: Any, seat: int, unit: int) -> int:
    """Return the target slot that names a unit in the frame of an agent, or −1 if none does.

    The inverse of `rules.targets.target_of_slot`: own team from oneself on, enemy heroes, the
    nearest enemy creeps, enemy structures.
    """
    size = team_size(game)
    heroes = game.heroes.shape[0]
    if unit < heroes:
        own_start = 0 if seat < size else size
        if own_start <= unit < own_start + size:
            return (unit - seat) % size
        return size + unit % size
    enemy = 1 - team_of(game, seat)
    begin = structure_begin(game, enemy)
    if unit >= begin:
        return heroes + NUM_CREEP_TARGETS + unit - begin
    for index in range(NUM_CREEP_TARGETS):
        if game.heroes[seat].creep_slots[index] == unit:
            return heroes + index
    return -1


@kernel
def order_attack(game: Any, seat: int, unit: int, action: Any) -> None:
    """Attack a unit, walking into range first; do nothing if no target slot names it."""
    order_none(action)
    slot = slot_of(game, seat, unit)
    if slot >= 0:
        action[HEAD_BUTTON] = BUTTON_ATTACK
        action[HEAD_TARGET] = slot


@kernel
def order_recall(action: Any) -> None:
    """Start or keep up the recall to the fountain."""
    order_none(action)
    action[HEAD_BUTTON] = BUTTON_RECALL


@kernel
def order_buy(item: int, action: Any) -> None:
    """Buy one item of the shop."""
    order_none(action)
    action[HEAD_BUTTON] = BUTTON_BUY
    action[HEAD_TARGET] = item


@kernel
def order_skill_on(game: Any, seat: int, skill: int, unit: int, action: Any) -> None:
    """Cast a skill that is aimed at a unit."""
    order_none(action)
    slot = slot_of(game, seat, unit)
    if slot >= 0:
        action[HEAD_BUTTON] = BUTTON_SKILL + skill
        action[HEAD_TARGET] = slot


@kernel
def order_skill_at(
    game: Any, seat: int, skill: int, data: Any, x: float, y: float, action: Any
) -> None:
    """Cast a skill with aim direction or point towards a world position.

    Args:
        game: The game record.
        seat: The agent.
        skill: Which skill, 0 to 2.
        data: The skill's row of the tables; the distance head is the quarter of its range that is
            nearest to the position.
        x: Where to, world x [m].
        y: Where to, world y [m].
        action: Row of int64 heads to write.
    """
    order_none(action)
    dx, dy = x - game.units[seat].x, y - game.units[seat].y
    action[HEAD_BUTTON] = BUTTON_SKILL + skill
    action[HEAD_DIRECTION] = direction_of(dx, dy, team_of(game, seat), ROUNDED)
    if data.aim == AIM_POINT:
        quarter = floor(sqrt(dx * dx + dy * dy) / data.range * NUM_DISTANCES + 0.5) - 1
        action[HEAD_DISTANCE] = min(max(quarter, 0), NUM_DISTANCES - 1)
