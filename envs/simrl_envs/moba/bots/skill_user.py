"""The skill user: the lane pusher's walk, with skills thrown at enemy heroes and crowds of creeps.

It aims ahead of a walking enemy, heals and shields itself in a fight, and keeps some mana back from
creeps. It still never retreats.
"""

from typing import Any, Final

from simrl_envs.moba.bots.lane_pusher import push_lane
from simrl_envs.moba.bots.orders import dither_of, order_none, order_skill_on
from simrl_envs.moba.bots.senses import (
    NOBODY,
    gap,
    hp_fraction,
    nearest_foe,
    team_of,
)
from simrl_envs.moba.bots.skills import (
    aim_skill,
    carries,
    harms,
    mends,
    skill_of,
    skill_reach,
    sweeps,
)
from simrl_envs.moba.records import (
    AIM_TARGET,
    BLUE,
    NUM_CREEP_TARGETS,
    NUM_SKILLS,
    SIDE_ALLY,
    team_size,
)
from simrl_envs.moba.rules.geometry import distance_squared
from simrl_envs.moba.rules.kernel import kernel
from simrl_envs.moba.rules.predicates import can_act, can_cast, can_cast_at

MANA_FOR_CREEPS: Final = 0.6  # casts on creeps above this fraction of its mana
CROWD: Final = 3  # creeps that are worth a skill
HURT: Final = 0.75  # below this fraction of its hit points an ally is worth a mend


@kernel
def harm_hero(game: Any, table: Any, seat: int, foe: int, leap: bool, action: Any) -> bool:
    """Cast the first ready skill that reaches an enemy hero; tell whether one was found.

    Args:
        game: The game record.
        table: The compiled data.
        seat: The agent.
        foe: Enemy hero in sight.
        leap: Whether skills that carry the hero to the enemy may be used.
        action: Row of int64 heads to write.
    """
    away = gap(game, table, seat, foe)
    for skill in range(NUM_SKILLS):
        row = skill_of(game, table, seat, skill)
        if not harms(row) or (carries(row) and not leap):
            continue
        if away > skill_reach(row) or not can_cast(game, table, seat, skill):
            continue
        if row.aim != AIM_TARGET or can_cast_at(game, table, seat, skill, foe):
            aim_skill(game, table, seat, skill, foe, action)
            return True
    return False


@kernel
def most_hurt_ally(game: Any, seat: int, reach: float) -> int:
    """Return the own hero within `reach` [m] that is left the least of its hit points."""
    start = 0 if team_of(game, seat) == BLUE else team_size(game)
    best = seat
    for unit in range(start, start + team_size(game)):
        if (
            game.units[unit].alive
            and distance_squared(game, seat, unit) <= reach * reach
            and hp_fraction(game, unit) < hp_fraction(game, best)
        ):
            best = unit
    return best


@kernel
def help_in_fight(game: Any, table: Any, seat: int, foe: int, action: Any) -> bool:
    """Cast a ready heal, shield or buff; tell whether one was worth it.

    Args:
        game: The game record.
        table: The compiled data.
        seat: The agent.
        foe: Enemy hero that is being fought, or NOBODY: then only the hurt are mended.
        action: Row of int64 heads to write.
    """
    for skill in range(NUM_SKILLS):
        row = skill_of(game, table, seat, skill)
        if harms(row) or carries(row) or not can_cast(game, table, seat, skill):
            continue
        if row.aim == AIM_TARGET and row.side == SIDE_ALLY:
            ally = most_hurt_ally(game, seat, row.range)
            if hp_fraction(game, ally) < HURT:
                order_skill_on(game, seat, skill, ally, action)
                return True
        elif foe != NOBODY or (mends(row) and hp_fraction(game, seat) < 0.5):
            aim_skill(game, table, seat, skill, seat, action)
            return True
    return False


@kernel
def harm_creeps(game: Any, table: Any, seat: int, spare: float, action: Any) -> bool:
    """Cast a ready skill on a crowd of creeps with more than a `spare` share of the mana left."""
    hero = game.heroes[seat]
    if hero.mana < spare * hero.max_mana or hero.creep_slots[CROWD - 1] < 0:
        return False
    middle = hero.creep_slots[CROWD // 2]
    for skill in range(NUM_SKILLS):
        row = skill_of(game, table, seat, skill)
        if not harms(row) or carries(row) or not sweeps(row):
            continue
        if row.aim == AIM_TARGET or gap(game, table, seat, middle) > skill_reach(row):
            continue
        if crowd_around(game, seat, middle, max(row.radius, 2.0)) < CROWD:
            continue
        if can_cast(game, table, seat, skill):
            aim_skill(game, table, seat, skill, middle, action)
            return True
    return False


@kernel
def crowd_around(game: Any, seat: int, unit: int, radius: float) -> int:
    """Count the enemy creeps in sight within `radius` [m] of a unit, at most eight."""
    count = 0
    for index in range(NUM_CREEP_TARGETS):
        slot = game.heroes[seat].creep_slots[index]
        if slot < 0:
            break
        if distance_squared(game, unit, slot) <= radius * radius:
            count += 1
    return count


@kernel
def play_skill_user(game: Any, table: Any, seat: int, dither: float, action: Any) -> None:
    """Write the skill user's action."""
    order_none(action)
    if not can_act(game, seat):
        return
    foe = nearest_foe(game, seat, game.heroes[seat].attack_range + 6.0)
    if foe != NOBODY and harm_hero(game, table, seat, foe, True, action):
        return
    close = nearest_foe(game, seat, game.heroes[seat].attack_range + 2.0)
    if help_in_fight(game, table, seat, close, action):
        return
    if harm_creeps(game, table, seat, MANA_FOR_CREEPS, action):
        return
    push_lane(game, table, seat, dither, action)


@kernel
def act_skill_user(games: Any, tables: Any, seats: Any, seed: int, actions: Any) -> None:
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
        play_skill_user(game, table, seats[row], dither, actions[row])
