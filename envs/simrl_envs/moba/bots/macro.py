"""The macro player: farms by last hits, trades when the odds are good, and lives to push.

Its decision is a list of reasons, from the most pressing: finish a recall, heal and shop at the
fountain, step out of a falling spell, race for a structure that is about to fall, flee a lost
fight, take a sure kill, trade, leave the tower's fire, go home to heal, fetch a relic, take a last
hit, push, farm, walk with the wave.
"""

from typing import Any, Final

from simrl_envs.moba.bots.duel import (
    attack_rate,
    kill_time,
    odds,
    tower_rate,
)
from simrl_envs.moba.bots.lane_pusher import is_exposed, tower_is_tanked, walk_with_wave
from simrl_envs.moba.bots.orders import (
    dither_of,
    order_attack,
    order_none,
    order_recall,
)
from simrl_envs.moba.bots.senses import (
    NOBODY,
    gap,
    hp_fraction,
    nearest_foe,
    rival_structure,
    sees,
    team_of,
    weakest_foe,
)
from simrl_envs.moba.bots.skill_user import harm_creeps, harm_hero, help_in_fight
from simrl_envs.moba.bots.skills import (
    mitigated,
)
from simrl_envs.moba.bots.survival import (
    AWARE,
    TRADE_ODDS,
    back_off,
    dodge,
    go_home,
    look_after,
    rest,
    retreat,
    wants_home,
)
from simrl_envs.moba.records import (
    DAMAGE_PHYSICAL,
    KIND_CRYSTAL,
    KIND_TOWER,
    NUM_CREEP_TARGETS,
)
from simrl_envs.moba.rules.effects import structure_factor
from simrl_envs.moba.rules.kernel import kernel
from simrl_envs.moba.rules.predicates import can_act

FLEE_ODDS: Final = 0.45  # flees a duel that stands below this
CHASE_ODDS: Final = 1.5  # chases above this
SURE: Final = 2.2  # seconds in which a kill is sure enough to dive for it
RANGED: Final = 4.0  # attack ranges above this keep their distance [m]
RESERVE: Final = 1.7  # leaves creeps with less than so many hits for the last hit


@kernel
def fight(
    game: Any, table: Any, seat: int, foe: int, leap: bool, dither: float, action: Any
) -> None:
    """Fight a hero: skills first, then attacks; the ranged step back between two shots."""
    if harm_hero(game, table, seat, foe, leap, action):
        return
    hero = game.heroes[seat]
    away = gap(game, table, seat, foe)
    if away < hero.attack_range + 2.0 and help_in_fight(game, table, seat, foe, action):
        return
    waits = game.units[seat].attack_ready > game.tick + 3 and hero.windup_at <= game.tick
    if hero.attack_range > RANGED and waits and away < hero.attack_range - 1.0:
        back_off(game, table, seat, foe, dither, action)
    else:
        order_attack(game, seat, foe, action)


@kernel
def last_hit(game: Any, table: Any, seat: int, action: Any) -> bool:
    """Attack a creep that the next hit kills; tell whether there was one."""
    hero = game.heroes[seat]
    reach = hero.attack_range + 3.0
    for index in range(NUM_CREEP_TARGETS):
        creep = hero.creep_slots[index]
        if creep < 0 or gap(game, table, seat, creep) > reach:
            return False
        hit = mitigated(game, game.units[seat].attack, DAMAGE_PHYSICAL, creep)
        if game.units[creep].hp <= hit:
            order_attack(game, seat, creep, action)
            return True
    return False


@kernel
def farm(game: Any, table: Any, seat: int, action: Any) -> bool:
    """Wear down a creep in reach, sparing the nearly ripe; tell whether any was there."""
    hero = game.heroes[seat]
    reach = hero.attack_range + 3.0
    nearest = NOBODY
    for index in range(NUM_CREEP_TARGETS):
        creep = hero.creep_slots[index]
        if creep < 0 or gap(game, table, seat, creep) > reach:
            break
        hit = mitigated(game, game.units[seat].attack, DAMAGE_PHYSICAL, creep)
        if game.units[creep].hp > RESERVE * hit:
            order_attack(game, seat, creep, action)
            return True
        if nearest == NOBODY:
            nearest = creep
    if nearest != NOBODY:
        order_attack(game, seat, nearest, action)
    return nearest != NOBODY


@kernel
def push(game: Any, table: Any, seat: int, action: Any) -> bool:
    """Hit the enemy tower or crystal while creeps tank it; tell whether that is possible."""
    tower = rival_structure(game, seat)
    if not sees(game, team_of(game, seat), tower):
        return False
    if gap(game, table, seat, tower) > game.heroes[seat].attack_range + 5.0:
        return False
    if game.units[tower].kind == KIND_TOWER and not tower_is_tanked(game, table, seat, tower):
        return False
    order_attack(game, seat, tower, action)
    return True


@kernel
def finish(game: Any, table: Any, seat: int, foe: int, action: Any) -> bool:
    """Race for the enemy structure when it falls before the agent does; tell whether so."""
    tower = rival_structure(game, seat)
    if not sees(game, team_of(game, seat), tower):
        return False
    if gap(game, table, seat, tower) > game.heroes[seat].attack_range + 4.0:
        return False
    rate = attack_rate(game, table, seat, tower) * structure_factor(game, table, tower)
    left = game.units[tower].hp / max(rate, 1e-3)
    losing = tower_rate(game, table, seat, 3.0)
    if foe != NOBODY:
        losing += 1.3 * attack_rate(game, table, foe, seat)
    is_crystal = game.units[tower].kind == KIND_CRYSTAL
    if left > (15.0 if is_crystal else 4.0) or left * losing > 0.7 * game.units[seat].hp:
        return False
    order_attack(game, seat, tower, action)
    return True


@kernel
def keep_distance(game: Any, table: Any, seat: int, standing: float) -> float:
    """Return how far behind the wave to walk [m], farther the worse a duel stands."""
    near = max(game.heroes[seat].attack_range - 2.5, 1.0)
    return near if standing > FLEE_ODDS else near + 4.0


@kernel
def work_lane(
    game: Any, table: Any, seat: int, foe: int, standing: float, dither: float, action: Any
) -> None:
    """Farm and push: what there is to do when no hero has to be dealt with."""
    tower = rival_structure(game, seat)
    if game.units[tower].kind == KIND_CRYSTAL and push(game, table, seat, action):
        return
    if last_hit(game, table, seat, action):
        return
    free = foe == NOBODY
    if (free or standing > 0.7) and harm_creeps(game, table, seat, 0.35 if free else 0.55, action):
        return
    if (free or standing > 0.8) and push(game, table, seat, action):
        return
    if farm(game, table, seat, action):
        return
    walk_with_wave(game, table, seat, keep_distance(game, table, seat, standing), dither, action)


@kernel
def face_foe(
    game: Any, table: Any, seat: int, foe: int, standing: float, dither: float, action: Any
) -> bool:
    """Flee, kill or trade; tell whether the enemy hero calls for any of it."""
    hero = game.heroes[seat]
    away = gap(game, table, seat, foe)
    if standing < FLEE_ODDS and away < 10.0 and hp_fraction(game, seat) < 0.45:
        retreat(game, table, seat, dither, action)
        return True
    weak = weakest_foe(game, seat, hero.attack_range + 5.0)
    if weak != NOBODY and standing > 1.0 and kill_time(game, table, seat, weak) < SURE:
        fight(game, table, seat, weak, True, dither, action)
        return True
    if is_exposed(game, table, seat):
        return False
    reach = hero.attack_range + (4.0 if standing > CHASE_ODDS else 1.0)
    if standing > TRADE_ODDS and away < reach:
        fight(game, table, seat, foe, standing > CHASE_ODDS, dither, action)
        return True
    if hero.mana > 0.5 * hero.max_mana and standing > FLEE_ODDS:
        return harm_hero(game, table, seat, foe, False, action)
    return False


@kernel
def play_macro(game: Any, table: Any, seat: int, dither: float, action: Any) -> None:
    """Write the macro player's action."""
    order_none(action)
    if not can_act(game, seat):
        return
    foe = nearest_foe(game, seat, AWARE)
    if game.heroes[seat].recall_at > game.tick and foe == NOBODY:
        order_recall(action)
        return
    if rest(game, table, seat, action) or dodge(game, table, seat, dither, action):
        return
    if finish(game, table, seat, foe, action):
        return
    standing = 2.0
    if foe != NOBODY:
        standing = odds(game, table, seat, foe)
        if face_foe(game, table, seat, foe, standing, dither, action):
            return
    if is_exposed(game, table, seat):
        retreat(game, table, seat, dither, action)
    elif wants_home(game, table, seat, foe, standing):
        go_home(game, table, seat, foe, dither, action)
    elif not look_after(game, table, seat, standing, dither, action):
        work_lane(game, table, seat, foe, standing, dither, action)


@kernel
def act_macro(games: Any, tables: Any, seats: Any, seed: int, actions: Any) -> None:
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
        play_macro(game, table, seats[row], dither, actions[row])
