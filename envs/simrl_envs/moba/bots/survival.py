"""How the macro player stays alive: dodging, retreating, resting, shopping, going home."""

from math import sqrt
from typing import Any, Final

from simrl_envs.moba.bots.lane_pusher import is_exposed
from simrl_envs.moba.bots.orders import (
    order_buy,
    order_move,
    order_none,
    order_recall,
)
from simrl_envs.moba.bots.senses import (
    NOBODY,
    enemies_alive,
    hp_fraction,
    nearest_foe,
    team_of,
)
from simrl_envs.moba.bots.skill_user import help_in_fight
from simrl_envs.moba.bots.skills import (
    carries,
    point_skill,
    skill_of,
)
from simrl_envs.moba.records import (
    AIM_DIRECTION,
    AIM_POINT,
    BLUE,
    NUM_SKILLS,
)
from simrl_envs.moba.rules.geometry import distance_squared
from simrl_envs.moba.rules.kernel import kernel
from simrl_envs.moba.rules.predicates import can_buy, can_cast, can_recall

AWARE: Final = 14.0  # minds enemy heroes this near [m]
LOW: Final = 0.22  # share of hit points at which it goes home
HURT: Final = 0.36  # goes home below this unless it stands well against the enemy
RICH: Final = 1.5  # goes shopping with so many times the price of its next item
SHOPS: Final = 0.75  # but only below this share of hit points, so that the way pays twice
BARELY: Final = 0.15  # goes home only below this while no enemy hero lives
TRADE_ODDS: Final = 0.8  # trades above this


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
