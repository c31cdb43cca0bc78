"""The macro player: farms by last hits, trades when the odds are good, and lives to push.

Its decision is a list of reasons, from the most pressing: step out of a falling spell, finish a
recall, heal at the fountain, leave the tower's fire, flee a lost fight, take a sure kill, go home
to heal, trade, take a last hit, push when nobody is in the way, farm, walk with the wave.
"""

from math import sqrt
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
    order_buy,
    order_move,
    order_none,
    order_recall,
)
from simrl_envs.moba.bots.senses import (
    NOBODY,
    enemies_alive,
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
    carries,
    mitigated,
    point_skill,
    skill_of,
)
from simrl_envs.moba.records import (
    AIM_DIRECTION,
    AIM_POINT,
    BLUE,
    DAMAGE_PHYSICAL,
    KIND_CRYSTAL,
    KIND_TOWER,
    NUM_CREEP_TARGETS,
    NUM_SKILLS,
)
from simrl_envs.moba.rules.effects import structure_factor
from simrl_envs.moba.rules.geometry import distance_squared
from simrl_envs.moba.rules.kernel import kernel
from simrl_envs.moba.rules.predicates import can_act, can_buy, can_cast, can_recall

AWARE: Final = 14.0  # minds enemy heroes this near [m]
LOW: Final = 0.22  # share of hit points at which it goes home
HURT: Final = 0.36  # goes home below this unless it stands well against the enemy
RICH: Final = 1.5  # goes shopping with so many times the price of its next item
SHOPS: Final = 0.75  # but only below this share of hit points, so that the way pays twice
BARELY: Final = 0.15  # the same while no enemy hero lives
FLEE_ODDS: Final = 0.45  # flees a duel that stands below this
TRADE_ODDS: Final = 0.8  # trades above this
CHASE_ODDS: Final = 1.5  # chases above this
SURE: Final = 2.2  # seconds in which a kill is sure enough to dive for it
RANGED: Final = 4.0  # attack ranges above this keep their distance [m]
RESERVE: Final = 1.7  # leaves creeps with less than so many hits for the last hit


@kernel
def fountain_x(table: Any, team: int) -> float:
    """Return the world x of a team's fountain [m]."""
    return table.fountain[0] if team == BLUE else -table.fountain[0]


@kernel
def fountain_y(table: Any, team: int) -> float:
    """Return the world y of a team's fountain [m]."""
    return table.fountain[1] if team == BLUE else -table.fountain[1]


@kernel
def at_fountain(game: Any, table: Any, seat: int) -> bool:
    """Tell whether the agent stands in its fountain."""
    team = team_of(game, seat)
    dx = game.units[seat].x - fountain_x(table, team)
    dy = game.units[seat].y - fountain_y(table, team)
    reach = table.fountain_radius - 0.5
    return dx * dx + dy * dy < reach * reach


@kernel
def retreat(game: Any, table: Any, seat: int, dither: float, action: Any) -> None:
    """Walk home, with a dash or blink in that direction if one is ready and a foe is near."""
    team = team_of(game, seat)
    x, y = fountain_x(table, team), fountain_y(table, team)
    if nearest_foe(game, seat, 8.0) != NOBODY:
        for skill in range(NUM_SKILLS):
            row = skill_of(game, table, seat, skill)
            aimed = row.aim == AIM_DIRECTION or row.aim == AIM_POINT
            if carries(row) and aimed and can_cast(game, table, seat, skill):
                point_skill(game, table, seat, skill, x, y, action)
                return
    order_move(game, seat, x, y, dither, action)


@kernel
def back_off(game: Any, table: Any, seat: int, foe: int, dither: float, action: Any) -> None:
    """Step away from an enemy, homewards."""
    team = team_of(game, seat)
    dx = game.units[seat].x - game.units[foe].x
    dy = game.units[seat].y - game.units[foe].y
    length = max(sqrt(dx * dx + dy * dy), 1e-3)
    hx = fountain_x(table, team) - game.units[seat].x
    hy = fountain_y(table, team) - game.units[seat].y
    home = max(sqrt(hx * hx + hy * hy), 1e-3)
    x = game.units[seat].x + 4.0 * (dx / length + 1.5 * hx / home)
    y = game.units[seat].y + 4.0 * (dy / length + 1.5 * hy / home)
    order_move(game, seat, x, y, dither, action)


@kernel
def dodge(game: Any, table: Any, seat: int, dither: float, action: Any) -> bool:
    """Walk out of an enemy area or the path of an enemy skill-shot; tell whether there was one."""
    enemy = 1 - team_of(game, seat)
    me = game.units[seat]
    half = game.zones.shape[0] // 2
    for index in range(enemy * half, enemy * half + game.areas[enemy]):
        zone = game.zones[index]
        if zone.alive == 0 or zone.follow >= 0:
            continue
        dx, dy = me.x - zone.x, me.y - zone.y
        reach = zone.radius + 0.8
        if dx * dx + dy * dy < reach * reach:
            order_move(game, seat, me.x + 3.0 * dx, me.y + 3.0 * dy, dither, action)
            return action[0] != 0
    half = game.projectiles.shape[0] // 2
    for index in range(enemy * half, enemy * half + game.shots[enemy]):
        shot = game.projectiles[index]
        if shot.alive == 0 or shot.skill < 0 or shot.target >= 0:
            continue
        dx, dy = me.x - shot.x, me.y - shot.y
        along = dx * shot.vx + dy * shot.vy
        across = dx * shot.vy - dy * shot.vx
        speed = max(shot.speed, 1e-3)
        if along <= 0.0 or along > 8.0 * speed or abs(across) > 1.6 * speed:
            continue
        side = 1.0 if across >= 0.0 else -1.0
        x, y = me.x + 4.0 * side * shot.vy / speed, me.y - 4.0 * side * shot.vx / speed
        order_move(game, seat, x, y, dither, action)
        return True
    return False


@kernel
def rest(game: Any, table: Any, seat: int, action: Any) -> bool:
    """Buy, and heal up in the fountain; tell whether there is a reason to stay."""
    if not at_fountain(game, table, seat):
        return False
    hero = game.heroes[seat]
    kind = table.heroes[hero.hero]
    if table.agent_buys != 0 and hero.num_items < kind.num_build:
        item = kind.build[hero.num_items]
        if can_buy(game, table, seat, item):
            order_buy(item, action)
            return True
    if hp_fraction(game, seat) < 0.92 or hero.mana < 0.8 * hero.max_mana:
        order_none(action)
        return True
    return False


@kernel
def look_after(
    game: Any, table: Any, seat: int, standing: float, dither: float, action: Any
) -> bool:
    """Fetch a relic while no strong enemy is near, or mend the hurt; tell whether so."""
    if standing > 0.8 and fetch_relic(game, table, seat, dither, action):
        return True
    return help_in_fight(game, table, seat, NOBODY, action)


@kernel
def go_home(game: Any, table: Any, seat: int, foe: int, dither: float, action: Any) -> None:
    """Fetch a relic on the way, recall from a safe place, or else walk towards one."""
    if foe == NOBODY and fetch_relic(game, table, seat, dither, action):
        return
    safe = foe == NOBODY and nearest_foe(game, seat, 2.0 * AWARE) == NOBODY
    quiet = game.heroes[seat].creep_slots[0] < 0 or (
        distance_squared(game, seat, game.heroes[seat].creep_slots[0]) > 100.0
    )
    if safe and quiet and can_recall(game, table, seat) and not is_exposed(game, table, seat):
        order_recall(action)
    else:
        retreat(game, table, seat, dither, action)


@kernel
def is_rich(game: Any, table: Any, seat: int) -> bool:
    """Tell whether the purse holds well over the price of the next item of the hero's build."""
    hero = game.heroes[seat]
    kind = table.heroes[hero.hero]
    if hero.num_items >= kind.num_build:
        return False
    return hero.gold > RICH * table.items[kind.build[hero.num_items]].price


@kernel
def wants_home(game: Any, table: Any, seat: int, foe: int, standing: float) -> bool:
    """Tell whether hit points, or mana and hit points together, are too low to stay.

    With every enemy hero dead there is a lane to push first, unless the next hit may be the last.
    """
    share = hp_fraction(game, seat)
    if enemies_alive(game, seat) == 0:
        return share < BARELY
    mana = game.heroes[seat].mana / game.heroes[seat].max_mana
    if share < LOW or (share < 0.5 and mana < 0.2):
        return True
    if foe == NOBODY and share < SHOPS and is_rich(game, table, seat):
        return True
    return share < HURT and (foe == NOBODY or standing < TRADE_ODDS)


@kernel
def fetch_relic(game: Any, table: Any, seat: int, dither: float, action: Any) -> bool:
    """Walk to a healing relic when hurt and one is ready near by; tell whether so."""
    if hp_fraction(game, seat) > 0.6 or enemies_alive(game, seat) == 0:
        return False
    last = table.num_relics - 1
    for order in range(table.num_relics):
        # In the own frame's order, so that both sides choose alike.
        index = order if team_of(game, seat) == BLUE else last - order
        if game.relic_ready[index] > game.tick + 30:
            continue
        x, y = table.relics[index, 0], table.relics[index, 1]
        dx, dy = x - game.units[seat].x, y - game.units[seat].y
        if dx * dx + dy * dy < 15.0 * 15.0:
            order_move(game, seat, x, y, dither, action)
            return True
    return False


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
