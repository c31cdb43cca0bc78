"""Projectiles and zones: how attacks and skills travel, and when they land."""

import math
from typing import Any

from simrl_envs.moba import records as rec
from simrl_envs.moba.rules.effects import add_damage, apply_skill, land_attack
from simrl_envs.moba.rules.kernel import kernel, real, whole


@kernel
def new_projectile(game: Any, source: int, target: int, skill: int) -> int:
    """Take a free projectile of the source's team, placed at the source; −1 if none is free."""
    origin = game.units[source]
    team = origin.team
    half = game.projectiles.shape[0] // 2
    for k in range(half):
        if game.projectiles[team * half + k].alive == 0:
            shot = game.projectiles[team * half + k]
            shot.alive = 1
            shot.x = origin.x
            shot.y = origin.y
            shot.vx = 0.0
            shot.vy = 0.0
            shot.damage = 0.0
            shot.until = 0
            shot.source = source
            shot.target = target
            shot.skill = skill
            shot.bonus = 0
            for word in range(shot.hit_mask.shape[0]):
                shot.hit_mask[word] = 0
            game.shots[team] = max(game.shots[team], k + 1)
            return team * half + k
    return -1


@kernel
def new_zone(game: Any, source: int, skill: int, x: float, y: float, delay: int) -> int:
    """Take a free zone of the source's team for a skill; −1 if none is free."""
    team = game.units[source].team
    half = game.zones.shape[0] // 2
    for k in range(half):
        if game.zones[team * half + k].alive == 0:
            zone = game.zones[team * half + k]
            zone.alive = 1
            zone.x = x
            zone.y = y
            zone.radius = 0.0
            zone.next = game.tick + delay
            zone.until = game.tick + delay
            zone.period = 0
            zone.source = source
            zone.follow = -1
            zone.skill = skill
            game.areas[team] = max(game.areas[team], k + 1)
            return team * half + k
    return -1


@kernel
def fly(game: Any, table: Any) -> None:
    """Move all projectiles by one tick and land those that arrive."""
    half = game.projectiles.shape[0] // 2
    for team in range(2):
        top = 0
        for k in range(game.shots[team]):
            index = team * half + k
            if game.projectiles[index].alive == 0:
                continue
            if game.projectiles[index].target >= 0:
                _fly_homing(game, table, index)
            else:
                _fly_straight(game, table, index)
            if game.projectiles[index].alive != 0:
                top = k + 1
        game.shots[team] = top


@kernel
def _fly_homing(game: Any, table: Any, index: int) -> None:
    shot = game.projectiles[index]
    unit = game.units[shot.target]
    if unit.alive == 0:
        shot.alive = 0
        return
    dx = unit.x - shot.x
    dy = unit.y - shot.y
    reach = shot.speed + table.kinds[unit.kind].radius
    squared = dx * dx + dy * dy
    if squared > reach * reach:
        scale = shot.speed / math.sqrt(squared)
        shot.vx = dx * scale
        shot.vy = dy * scale
        shot.x += shot.vx
        shot.y += shot.vy
        return
    shot.alive = 0
    source = whole(shot.source)
    target = whole(shot.target)
    if shot.skill >= 0:
        apply_skill(game, table, source, whole(shot.skill), target, rec.SIDE_ENEMY)
    elif game.units[source].kind == rec.KIND_HERO:
        land_attack(game, table, source, target, real(shot.damage), whole(shot.bonus))
    else:
        add_damage(game, table, target, real(shot.damage), rec.DAMAGE_PHYSICAL, whole(-1))


@kernel
def _fly_straight(game: Any, table: Any, index: int) -> None:
    """Move a skill-shot along its line; it lands on units that its path of this tick touches."""
    shot = game.projectiles[index]
    team = game.units[shot.source].team
    enemy = 1 - team
    size = game.heroes.shape[0] // 2
    pierces = table.heroes[game.heroes[shot.source].hero].skills[shot.skill].pierce != 0
    best = whole(-1)
    best_along = 2.0
    for i in range(enemy * size, enemy * size + size):
        along = _crossing(game, table, index, i)
        if along < best_along:
            if pierces:
                _pierce(game, table, index, i)
            else:
                best = i
                best_along = along
    for lane in range(game.creep_top.shape[1]):
        begin = rec.creep_begin(game, enemy, lane)
        for i in range(begin, begin + game.creep_top[enemy, lane]):
            along = _crossing(game, table, index, i)
            if along < best_along:
                if pierces:
                    _pierce(game, table, index, i)
                else:
                    best = i
                    best_along = along
    shot.x += shot.vx
    shot.y += shot.vy
    if best >= 0:
        apply_skill(game, table, whole(shot.source), whole(shot.skill), best, rec.SIDE_ENEMY)
        shot.alive = 0
    if game.tick >= shot.until:
        shot.alive = 0


@kernel
def _crossing(game: Any, table: Any, index: int, i: int) -> float:
    """Return where on this tick's path (0 to 1) a shot is nearest to a unit, 3 if it misses."""
    unit = game.units[i]
    if unit.alive == 0:
        return 3.0
    shot = game.projectiles[index]
    width = table.heroes[game.heroes[shot.source].hero].skills[shot.skill].radius
    reach = width + table.kinds[unit.kind].radius
    dx = unit.x - shot.x
    dy = unit.y - shot.y
    far = reach + shot.speed
    if dx * dx + dy * dy > far * far:
        return 3.0
    along = (dx * shot.vx + dy * shot.vy) / (shot.speed * shot.speed)
    along = min(1.0, max(0.0, along))
    dx -= along * shot.vx
    dy -= along * shot.vy
    return along if dx * dx + dy * dy <= reach * reach else 3.0


@kernel
def _pierce(game: Any, table: Any, index: int, i: int) -> None:
    """Land a piercing shot on a unit that it has not hit yet."""
    shot = game.projectiles[index]
    bit = 1 << (i & 63)
    if shot.hit_mask[i >> 6] & bit == 0:
        shot.hit_mask[i >> 6] |= bit
        apply_skill(game, table, whole(shot.source), whole(shot.skill), i, rec.SIDE_ENEMY)


@kernel
def pulse_zones(game: Any, table: Any) -> None:
    """Let the zones whose time has come touch what stands in them."""
    half = game.zones.shape[0] // 2
    for team in range(2):
        top = 0
        for k in range(game.areas[team]):
            zone = game.zones[team * half + k]
            if zone.alive == 0:
                continue
            if zone.follow >= 0:
                unit = game.units[zone.follow]
                zone.x = unit.x
                zone.y = unit.y
                if unit.alive == 0:
                    zone.alive = 0
            if zone.alive != 0 and game.tick >= zone.next:
                _pulse(game, table, team * half + k, team)
                zone.next += zone.period
                if zone.period == 0 or zone.next > zone.until:
                    zone.alive = 0
            if zone.alive != 0:
                top = k + 1
        game.areas[team] = top


@kernel
def _pulse(game: Any, table: Any, index: int, team: int) -> None:
    zone = game.zones[index]
    source = whole(zone.source)
    skill = whole(zone.skill)
    size = game.heroes.shape[0] // 2
    for i in range(2 * size):
        if _is_in(game, table, index, i):
            side = rec.SIDE_ALLY if game.units[i].team == team else rec.SIDE_ENEMY
            apply_skill(game, table, source, skill, i, side)
    enemy = 1 - team
    for lane in range(game.creep_top.shape[1]):
        begin = rec.creep_begin(game, enemy, lane)
        for i in range(begin, begin + game.creep_top[enemy, lane]):
            if _is_in(game, table, index, i):
                apply_skill(game, table, source, skill, i, rec.SIDE_ENEMY)


@kernel
def _is_in(game: Any, table: Any, index: int, i: int) -> bool:
    zone = game.zones[index]
    unit = game.units[i]
    reach = zone.radius + table.kinds[unit.kind].radius
    dx = unit.x - zone.x
    dy = unit.y - zone.y
    return unit.alive != 0 and dx * dx + dy * dy <= reach * reach
