"""Creep waves and towers: spawning, choosing whom to attack, attacking."""

from typing import Any

from simrl_envs.moba import records as rec
from simrl_envs.moba.rules.effects import add_damage
from simrl_envs.moba.rules.flight import new_projectile
from simrl_envs.moba.rules.geometry import (
    distance_squared,
    head_for,
    is_seen,
    random_unit,
    within,
)
from simrl_envs.moba.rules.kernel import kernel, real, whole
from simrl_envs.moba.rules.predicates import is_vulnerable

_ROW_GAP = 0.9  # [m] between the ranks of a wave


@kernel
def spawn_wave(game: Any, table: Any) -> None:
    """Send a wave down every lane of both teams; the k-th creeps of the two are half-turn twins."""
    siege = 1 if (game.wave + 1) % table.wave_siege_every == 0 else 0
    count = table.wave_melee + table.wave_ranged + siege
    for lane in range(game.creep_top.shape[1]):
        for k in range(count):
            kind = rec.KIND_MELEE
            if k >= table.wave_melee:
                kind = rec.KIND_RANGED
            if k >= table.wave_melee + table.wave_ranged:
                kind = rec.KIND_SIEGE
            offset_x = _ROW_GAP * (kind - rec.KIND_MELEE) + 0.3 * random_unit(game)
            offset_y = 3.0 * (random_unit(game) - 0.5)
            for team in range(2):
                _spawn(game, table, team, lane, kind, offset_x, offset_y)
    game.wave += 1
    game.next_wave = game.tick + table.wave_interval


@kernel
def _spawn(
    game: Any, table: Any, team: int, lane: int, kind: int, offset_x: float, offset_y: float
) -> None:
    """Put a creep into the lowest free slot of its lane; a full lane gets none."""
    begin = rec.creep_begin(game, team, lane)
    slot = 0
    while slot < rec.CREEPS_PER_LANE and game.units[begin + slot].alive != 0:
        slot += 1
    if slot == rec.CREEPS_PER_LANE:
        return
    game.creep_top[team, lane] = max(game.creep_top[team, lane], slot + 1)
    data = table.kinds[kind]
    unit = game.units[begin + slot]
    minutes = game.tick / table.ticks_per_minute
    sign = 1.0 if team == rec.BLUE else -1.0
    unit.kind = kind
    unit.team = team
    unit.lane = lane
    unit.alive = 1
    unit.visible = 1 << team
    unit.x = sign * (table.waypoints[lane, 0, 0] - offset_x)
    unit.y = sign * (table.waypoints[lane, 0, 1] + offset_y)
    unit.vx = 0.0
    unit.vy = 0.0
    unit.max_hp = data.hp + data.hp_per_minute * minutes
    unit.hp = unit.max_hp
    unit.attack = data.attack + data.attack_per_minute * minutes
    unit.armour = data.armour
    unit.resist = data.resist
    unit.pending = 0.0
    unit.attack_ready = 0
    unit.stun_until = 0
    unit.slow_until = 0
    unit.burn_until = 0
    unit.forced_until = 0
    unit.target = -1
    unit.last_hero = -1
    unit.burn_hero = -1
    unit.stage = 1
    unit.engaged = 0
    _forget_shots(game, 1 - team, begin + slot)


@kernel
def _forget_shots(game: Any, team: int, target: int) -> None:
    """End a team's homing shots at a unit slot: what they flew at is gone."""
    half = game.projectiles.shape[0] // 2
    for index in range(team * half, team * half + game.shots[team]):
        if game.projectiles[index].target == target:
            game.projectiles[index].alive = 0


@kernel
def drive_creeps(game: Any, table: Any) -> None:
    """Let every creep look, walk or attack; each looks only every few ticks, in turn."""
    tick = game.tick
    for team in range(2):
        for lane in range(game.creep_top.shape[1]):
            begin = rec.creep_begin(game, team, lane)
            for slot in range(game.creep_top[team, lane]):
                i = begin + slot
                unit = game.units[i]
                if unit.alive == 0 or tick < unit.forced_until:
                    continue
                if tick == unit.forced_until or tick < unit.stun_until:
                    unit.vx = 0.0  # the next look sets a walk again
                    unit.vy = 0.0
                if tick < unit.stun_until:
                    continue
                if (tick + slot) % table.creep_think == 0:
                    _think(game, table, i, team, lane)
                if unit.engaged != 0 and tick >= unit.attack_ready:
                    _creep_attack(game, table, i)


@kernel
def _think(game: Any, table: Any, i: int, team: int, lane: int) -> None:
    """Choose a creep's target, and whether it stands and fights or walks, and where to."""
    unit = game.units[i]
    data = table.kinds[unit.kind]
    unit.target = _choose(game, table, i, team, lane)
    unit.engaged = 0
    unit.vx = 0.0
    unit.vy = 0.0
    step = real(data.move_speed)
    if game.tick < unit.slow_until:
        step *= max(0.0, 1.0 - unit.slow)
    target = whole(unit.target)
    if target >= 0:
        if within(game, table, i, target, real(data.attack_range)):
            unit.engaged = 1
        else:
            other = game.units[target]
            head_for(unit, real(other.x), real(other.y), step)
        return
    sign = 1.0 if team == rec.BLUE else -1.0
    x = sign * table.waypoints[lane, unit.stage, 0]
    y = sign * table.waypoints[lane, unit.stage, 1]
    dx = x - unit.x
    dy = y - unit.y
    if dx * dx + dy * dy < 4.0 and unit.stage < table.num_waypoints[lane] - 1:
        unit.stage += 1
    head_for(unit, x, y, step)


@kernel
def _choose(game: Any, table: Any, i: int, team: int, lane: int) -> int:
    """Return whom a creep attacks, −1 for nobody.

    In this order: an enemy hero nearby that just hurt a hero; the creep it is attacking; the
    nearest creep; the nearest hero; the nearest structure.
    """
    unit = game.units[i]
    enemy = 1 - team
    size = game.heroes.shape[0] // 2
    limit = table.creep_acquire * table.creep_acquire
    nearest_hero = whole(-1)
    nearest = real(limit)
    for k in range(enemy * size, enemy * size + size):
        distance = distance_squared(game, i, k)
        if distance > limit or not is_seen(game.units[k], team):
            continue
        if game.tick < game.heroes[k].aggro_until:
            return k
        if distance <= nearest:
            nearest_hero = k
            nearest = distance
    target = whole(unit.target)
    if target >= 2 * size and game.units[target].kind < rec.KIND_TOWER:
        other = game.units[target]
        if other.alive != 0 and distance_squared(game, i, target) <= limit:
            return target
    other_lane = game.creep_top.shape[1] - 1 - lane
    begin = rec.creep_begin(game, enemy, other_lane)
    target = whole(-1)
    nearest = real(limit)
    for k in range(begin, begin + game.creep_top[enemy, other_lane]):
        distance = distance_squared(game, i, k)
        if distance < nearest and game.units[k].alive != 0:
            target = k
            nearest = distance
    if target >= 0:
        return target
    if nearest_hero >= 0:
        return nearest_hero
    nearest = real(limit)
    begin = rec.structure_begin(game, enemy)
    for k in range(begin, begin + rec.structures_per_team(game)):
        distance = distance_squared(game, i, k)
        if distance <= nearest and game.units[k].alive != 0 and is_vulnerable(game, table, k):
            target = k
            nearest = distance
    return target


@kernel
def _creep_attack(game: Any, table: Any, i: int) -> None:
    unit = game.units[i]
    data = table.kinds[unit.kind]
    other = game.units[unit.target]
    # A target may have walked on since the last look: a metre of grace.
    if other.alive == 0 or not within(
        game, table, i, whole(unit.target), real(data.attack_range + 1.0)
    ):
        unit.engaged = 0
        return
    unit.attack_ready = game.tick + data.attack_interval
    damage = real(unit.attack)
    if other.kind == rec.KIND_HERO:
        damage *= data.against_heroes
    elif other.kind >= rec.KIND_TOWER:
        damage *= data.against_structures
    _strike(game, table, i, damage)


@kernel
def _strike(game: Any, table: Any, i: int, damage: float) -> None:
    """Land or launch the basic attack of a creep or tower on its target."""
    unit = game.units[i]
    speed = table.kinds[unit.kind].projectile_speed
    if speed <= 0.0:
        add_damage(game, table, whole(unit.target), damage, rec.DAMAGE_PHYSICAL, whole(-1))
        return
    index = new_projectile(game, i, whole(unit.target), whole(-1))
    if index >= 0:
        game.projectiles[index].speed = speed
        game.projectiles[index].damage = damage


@kernel
def drive_structures(game: Any, table: Any) -> None:
    """Let towers look (every few ticks) and shoot; note whether attackers' creeps are near."""
    count = rec.structures_per_team(game)
    for team in range(2):
        begin = rec.structure_begin(game, team)
        for slot in range(count):
            i = begin + slot
            unit = game.units[i]
            if unit.alive == 0:
                continue
            if (game.tick + slot) % table.creep_think == 0:
                _watch(game, table, i, team)
            if unit.target >= 0 and game.tick >= unit.attack_ready:
                _tower_attack(game, table, i)


@kernel
def _watch(game: Any, table: Any, i: int, team: int) -> None:
    """Choose a tower's target and set `engaged` if enemy creeps are near."""
    unit = game.units[i]
    data = table.kinds[unit.kind]
    enemy = 1 - team
    reach = data.attack_range + data.radius
    limit = real(reach * reach)
    guard = table.backdoor_radius * table.backdoor_radius
    unit.engaged = 0
    target = whole(-1)
    nearest = real(limit)
    for lane in range(game.creep_top.shape[1]):
        begin = rec.creep_begin(game, enemy, lane)
        for k in range(begin, begin + game.creep_top[enemy, lane]):
            if game.units[k].alive == 0:
                continue
            distance = distance_squared(game, i, k)
            if distance <= guard:
                unit.engaged = 1
            if distance <= nearest:
                target = k
                nearest = distance
    if unit.attack <= 0.0:
        return
    target = _watch_heroes(game, table, i, team, limit, target)
    if target != unit.target:
        unit.stage = 0
    unit.target = target


@kernel
def _watch_heroes(
    game: Any, table: Any, i: int, team: int, limit: float, nearest_creep: int
) -> int:
    """Return a tower's target, given the nearest creep in range (or −1).

    In this order: an enemy hero that just hurt a hero in the tower's range; the present target
    while it stays; the nearest creep; the nearest hero.
    """
    size = game.heroes.shape[0] // 2
    enemy = 1 - team
    present = whole(game.units[i].target)
    nearest_hero = whole(-1)
    nearest = limit
    for k in range(enemy * size, enemy * size + size):
        distance = distance_squared(game, i, k)
        if distance > limit or not is_seen(game.units[k], team):
            continue
        victim = whole(game.heroes[k].aggro_victim)
        if game.tick < game.heroes[k].aggro_until and victim >= 0:
            hurt = distance_squared(game, i, victim)
            if hurt <= limit:
                return k
        if distance <= nearest:
            nearest_hero = k
            nearest = distance
    if present >= 0:
        other = game.units[present]
        if is_seen(other, team) and distance_squared(game, i, present) <= limit:
            return present
    return nearest_creep if nearest_creep >= 0 else nearest_hero


@kernel
def _tower_attack(game: Any, table: Any, i: int) -> None:
    unit = game.units[i]
    data = table.kinds[unit.kind]
    other = game.units[unit.target]
    # The next look may be some ticks away: do not shoot at the dead or at one that has left.
    if other.alive == 0 or not within(game, table, i, whole(unit.target), real(data.attack_range)):
        return
    minutes = game.tick / table.ticks_per_minute
    damage = real(unit.attack + data.attack_per_minute * minutes)
    if other.kind == rec.KIND_HERO:
        damage *= data.against_heroes * (1.0 + table.tower_ramp * unit.stage)
        unit.stage = min(unit.stage + 1, table.tower_ramp_hits)
    unit.attack_ready = game.tick + data.attack_interval
    _strike(game, table, i, damage)
