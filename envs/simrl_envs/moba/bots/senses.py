"""What a bot sees and concludes: small questions about the game that strategy is written in.

Fog is respected here: every question about an enemy first asks `sees`. Positions are in the world
frame; nothing depends on the side, so both teams answer alike.
"""

from math import sqrt
from typing import Any, Final

from simrl_envs.moba.records import (
    BLUE,
    NUM_CREEP_TARGETS,
    creep_begin,
    structure_begin,
    structures_per_team,
    team_size,
)
from simrl_envs.moba.rules.geometry import distance_squared, is_seen
from simrl_envs.moba.rules.kernel import kernel

NOBODY: Final = -1
FAR: Final = 1e9  # a squared distance beyond every map [m^2]


@kernel
def team_of(game: Any, seat: int) -> int:
    """Return the team of an agent."""
    return 0 if seat < game.heroes.shape[0] // 2 else 1


@kernel
def sees(game: Any, team: int, unit: int) -> bool:
    """Tell whether a unit is alive and in the sight of a team."""
    return is_seen(game.units[unit], team)


@kernel
def gap(game: Any, table: Any, first: int, second: int) -> float:
    """Return the distance between the edges of two units [m]: ranges are measured by it."""
    radii = table.kinds[game.units[first].kind].radius + table.kinds[game.units[second].kind].radius
    return sqrt(distance_squared(game, first, second)) - radii


@kernel
def hp_fraction(game: Any, unit: int) -> float:
    """Return the hit points of a unit as a fraction of its most."""
    return game.units[unit].hp / game.units[unit].max_hp


@kernel
def lane_of(game: Any, seat: int) -> int:
    """Return the lane that an agent plays, in its team's count: the team spreads over the lanes.

    Lane `l` of one team is lane `num_lanes - 1 - l` of the other.
    """
    return (seat % team_size(game)) % game.creep_top.shape[1]


@kernel
def rival_structure(game: Any, seat: int) -> int:
    """Return the foremost standing enemy structure of the agent's lane."""
    lane = game.creep_top.shape[1] - 1 - lane_of(game, seat)
    return next_structure(game, 1 - team_of(game, seat), lane)


@kernel
def nearest_foe(game: Any, seat: int, reach: float) -> int:
    """Return the nearest enemy hero in sight within `reach` [m], or NOBODY."""
    team = team_of(game, seat)
    size = team_size(game)
    start = size if team == BLUE else 0
    best, best_squared = NOBODY, reach * reach
    for unit in range(start, start + size):
        if sees(game, team, unit):
            squared = distance_squared(game, seat, unit)
            if squared < best_squared:
                best, best_squared = unit, squared
    return best


@kernel
def weakest_foe(game: Any, seat: int, reach: float) -> int:
    """Return the enemy hero in sight within `reach` [m] with the fewest hit points, or NOBODY."""
    team = team_of(game, seat)
    size = team_size(game)
    start = size if team == BLUE else 0
    best, best_hp = NOBODY, FAR
    for unit in range(start, start + size):
        if (
            sees(game, team, unit)
            and distance_squared(game, seat, unit) < reach * reach
            and game.units[unit].hp < best_hp
        ):
            best, best_hp = unit, game.units[unit].hp
    return best


@kernel
def enemies_alive(game: Any, seat: int) -> int:
    """Count the living enemy heroes: who is dead is known to all."""
    start = (1 - team_of(game, seat)) * team_size(game)
    count = 0
    for unit in range(start, start + team_size(game)):
        count += game.units[unit].alive
    return count


@kernel
def allied_creeps_near(game: Any, team: int, unit: int, reach: float) -> int:
    """Count the living creeps of `team` within `reach` [m] of a unit."""
    count = 0
    x, y = game.units[unit].x, game.units[unit].y
    for lane in range(game.creep_top.shape[1]):
        begin = creep_begin(game, team, lane)
        for slot in range(begin, begin + game.creep_top[team, lane]):
            if game.units[slot].alive:
                dx, dy = game.units[slot].x - x, game.units[slot].y - y
                if dx * dx + dy * dy < reach * reach:
                    count += 1
    return count


@kernel
def seen_creeps_near(game: Any, seat: int, reach: float) -> int:
    """Count the enemy creeps in sight within `reach` [m] of the agent, at most eight."""
    count = 0
    for index in range(NUM_CREEP_TARGETS):
        slot = game.heroes[seat].creep_slots[index]
        if slot < 0 or distance_squared(game, seat, slot) > reach * reach:
            break
        count += 1
    return count


@kernel
def next_structure(game: Any, team: int, lane: int) -> int:
    """Return the structure of `team` that stands foremost in a lane; its crystal when none does.

    The crystal comes last in the unit array and towers stand in the order in which they fall.
    """
    begin = structure_begin(game, team)
    last = begin + structures_per_team(game) - 1
    for unit in range(begin, last):
        if game.units[unit].alive and game.units[unit].lane == lane:
            return unit
    return last


@kernel
def front_creep(game: Any, team: int, lane: int, goal: int) -> int:
    """Return the creep of `team` in a lane that is nearest to the unit `goal`, or NOBODY."""
    best, best_squared = NOBODY, FAR
    begin = creep_begin(game, team, lane)
    for slot in range(begin, begin + game.creep_top[team, lane]):
        if game.units[slot].alive:
            squared = distance_squared(game, slot, goal)
            if squared < best_squared:
                best, best_squared = slot, squared
    return best
