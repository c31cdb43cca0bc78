"""The lane pusher: walks with its wave and attacks whatever is nearest.

It hits a tower only while its creeps stand in front of it, and knows nothing of skills, gold or
retreat. The level above it in the ladder adds skills to this same walk.
"""

from math import sqrt
from typing import Any, Final

from simrl_envs.moba.bots.orders import dither_of, order_attack, order_move, order_none
from simrl_envs.moba.bots.senses import (
    NOBODY,
    allied_creeps_near,
    front_creep,
    gap,
    lane_of,
    nearest_foe,
    next_structure,
    rival_structure,
    sees,
    team_of,
)
from simrl_envs.moba.records import BLUE, KIND_TOWER, structure_begin
from simrl_envs.moba.rules.geometry import distance_squared
from simrl_envs.moba.rules.kernel import kernel
from simrl_envs.moba.rules.predicates import can_act

NOTICE: Final = 3.0  # attacks what is within its attack range and this much more [m]
SHY: Final = 0.5  # keeps this much clear of a tower that no creep tanks [m]
BEHIND: Final = 2.0  # walks this far behind the first creep of its wave [m]


@kernel
def tower_is_tanked(game: Any, table: Any, seat: int, tower: int) -> bool:
    """Tell whether allied creeps stand under an enemy structure, so that it does not shoot us."""
    if game.units[tower].target == seat:
        return False
    reach = table.kinds[game.units[tower].kind].attack_range + 1.5
    return allied_creeps_near(game, team_of(game, seat), tower, max(reach, 8.0)) > 0


@kernel
def is_exposed(game: Any, table: Any, seat: int) -> bool:
    """Tell whether the enemy tower shoots at the agent, or would as soon as it looked."""
    tower = rival_structure(game, seat)
    if not game.units[tower].alive or game.units[tower].kind != KIND_TOWER:
        return False
    reach = table.kinds[KIND_TOWER].attack_range + SHY
    return gap(game, table, seat, tower) < reach and not tower_is_tanked(game, table, seat, tower)


@kernel
def nearest_prey(game: Any, table: Any, seat: int, notice: float) -> int:
    """Return the nearest thing worth an attack within range and `notice` [m], or NOBODY.

    Heroes and creeps in sight, and the foremost enemy structure while creeps tank it.
    """
    best, best_gap = NOBODY, game.heroes[seat].attack_range + notice
    foe = nearest_foe(game, seat, 20.0)
    if foe != NOBODY and gap(game, table, seat, foe) < best_gap:
        best, best_gap = foe, gap(game, table, seat, foe)
    creep = game.heroes[seat].creep_slots[0]
    if creep >= 0 and gap(game, table, seat, creep) < best_gap:
        best, best_gap = creep, gap(game, table, seat, creep)
    tower = rival_structure(game, seat)
    is_near = sees(game, team_of(game, seat), tower) and gap(game, table, seat, tower) < best_gap
    if is_near and tower_is_tanked(game, table, seat, tower):
        best = tower
    return best


@kernel
def walk_with_wave(
    game: Any, table: Any, seat: int, behind: float, dither: float, action: Any
) -> None:
    """Walk to `behind` [m] behind the first creep of the own wave, or to the own tower."""
    team = team_of(game, seat)
    lane = lane_of(game, seat)
    goal = rival_structure(game, seat)
    post = next_structure(game, team, lane)
    lead = front_creep(game, team, lane, goal)
    if lead == NOBODY or distance_squared(game, lead, goal) > distance_squared(game, post, goal):
        lead = post  # the wave has not come as far as the own tower: wait for it there
    sign = 1.0 if team == BLUE else -1.0
    dx = sign * table.fountain[0] - game.units[lead].x
    dy = sign * table.fountain[1] - game.units[lead].y
    length = max(sqrt(dx * dx + dy * dy), 1e-3)
    x = game.units[lead].x + dx / length * behind
    y = game.units[lead].y + dy / length * behind
    order_move(game, seat, x, y, dither, action)


@kernel
def push_lane(game: Any, table: Any, seat: int, dither: float, action: Any) -> None:
    """Write the lane pusher's action for one living hero."""
    prey = nearest_prey(game, table, seat, NOTICE)
    if is_exposed(game, table, seat):
        home = structure_begin(game, team_of(game, seat) + 1) - 1  # the own crystal
        order_move(game, seat, game.units[home].x, game.units[home].y, dither, action)
    elif prey != NOBODY:
        order_attack(game, seat, prey, action)
    else:
        walk_with_wave(game, table, seat, BEHIND, dither, action)


@kernel
def play_lane_pusher(game: Any, table: Any, seat: int, dither: float, action: Any) -> None:
    """Write the lane pusher's action."""
    order_none(action)
    if can_act(game, seat):
        push_lane(game, table, seat, dither, action)


@kernel
def act_lane_pusher(games: Any, tables: Any, seats: Any, seed: int, actions: Any) -> None:
    """Write the actions of a batch of rows.

    Args:
        games: Game records, one a row, `[rows]`.
        tables: `Tables.record`.
        seats: Agent of each row, int64 `[rows]`.
        seed: Seed of this call, or `OWN_SEED`: then each game gives its own.
        actions: Where to write, int64 `[rows, 5]`.
    """
    table = tables[0]
    for row in range(seats.shape[0]):
        game = games[row]
        dither = dither_of(game, seats[row], seed, row)
        play_lane_pusher(game, table, seats[row], dither, actions[row])
