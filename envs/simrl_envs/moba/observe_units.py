"""Write the unit tables of an observation: heroes, creeps, structures, shots, zones, targets, map.

Each function writes one block of `layout.py` into `out` from float `at` on, in the order of its
columns, and leaves empty rows as they are (zero). `eye` says who looks: see `observe.Eye`.
"""

from typing import Any, Final

import numpy as np

from simrl_envs.moba import layout as lay
from simrl_envs.moba import records as rec
from simrl_envs.moba.rules.kernel import kernel
from simrl_envs.moba.rules.predicates import is_vulnerable
from simrl_envs.moba.rules.targets import target_of_slot

_NEAR: Final = np.float32(20.0)
_ONE: Final = np.float32(1.0)
_ZERO: Final = np.float32(0.0)
_CREEP_RANGE_2: Final = np.float32(lay.CREEP_RANGE**2)
_SHOT_RANGE_2: Final = np.float32(lay.SHOT_RANGE**2)


@kernel
def soft(value: Any, scale: Any) -> Any:
    """Squash a quantity to value / (scale + |value|), float32."""
    v = np.float32(value)
    return v / (np.float32(scale) + abs(v))


@kernel
def clip(value: Any) -> Any:
    """Clip to [0, 1], float32."""
    return min(_ONE, max(_ZERO, np.float32(value)))


@kernel
def clip_signed(value: Any) -> Any:
    """Clip to [-1, 1], float32."""
    return min(_ONE, max(-_ONE, np.float32(value)))


@kernel
def wait(until: int, tick: int, scale: Any) -> Any:
    """Return the ticks left until `until`, times `scale`, clipped to [0, 1]."""
    return clip(np.float32(max(0, until - tick)) * np.float32(scale))


@kernel
def write_place(out: Any, at: int, dx: Any, dy: Any) -> Any:
    """Write a relative position [m] as three columns and return the distance [m]."""
    distance = np.float32(np.sqrt(dx * dx + dy * dy))
    out[at] = dx / (_NEAR + abs(dx))
    out[at + 1] = dy / (_NEAR + abs(dy))
    out[at + 2] = distance / (_NEAR + distance)
    return distance


@kernel
def write_statuses(out: Any, at: int, unit: Any, hero: Any, tick: int, dt: Any) -> None:
    """Write the ten status columns of a hero; expired ones stay zero."""
    half = dt * np.float32(0.5)
    out[at] = wait(unit.stun_until, tick, half)
    if tick < unit.slow_until:
        out[at + 1] = clip(unit.slow)
    out[at + 2] = wait(hero.silence_until, tick, half)
    if tick < unit.burn_until:
        out[at + 3] = soft(unit.burn / (dt * unit.max_hp), np.float32(0.1))
    if tick < hero.shield_until:
        out[at + 4] = clip(hero.shield / unit.max_hp)
    if tick < hero.haste_until:
        out[at + 5] = clip(hero.haste)
    if tick < hero.might_until:
        out[at + 6] = clip(hero.might)
    if tick < hero.frenzy_until:
        out[at + 7] = clip(hero.frenzy)
    if tick < hero.guard_until:
        out[at + 8] = clip(hero.guard)
    if tick < unit.forced_until:
        out[at + 9] = _ONE


@kernel
def write_heroes(out: Any, at: int, game: Any, table: Any, eye: Any) -> None:
    """Write the `heroes` table: the other heroes in the order of the target slots."""
    agent, team, x, y, sign, sees_all = eye
    tick = game.tick
    dt = table.dt
    bit = 1 << team
    me = game.units[agent]
    width = 35 + table.num_heroes
    speed = sign / (dt * np.float32(30.0))
    for slot in range(1, game.heroes.shape[0]):
        row = at + (slot - 1) * width
        index = target_of_slot(game, agent, slot)
        unit = game.units[index]
        hero = game.heroes[index]
        if not unit.alive:
            continue
        enemy = unit.team != team
        seen = sees_all or unit.visible & bit != 0 or not enemy
        if not seen and hero.last_seen_tick == 0:
            continue
        out[row] = _ONE
        if enemy:
            out[row + 1] = _ONE
        out[row + 35 + hero.hero] = _ONE
        if not seen:
            out[row + 3] = soft(np.float32(tick - hero.last_seen_tick) * dt, 10)
            dx = (hero.last_seen_x - x) * sign
            write_place(out, row + 4, dx, (hero.last_seen_y - y) * sign)
            continue
        out[row + 2] = _ONE
        distance = write_place(out, row + 4, (unit.x - x) * sign, (unit.y - y) * sign)
        out[row + 7] = clip_signed(unit.vx * speed)
        out[row + 8] = clip_signed(unit.vy * speed)
        out[row + 9] = clip(unit.hp / unit.max_hp)
        out[row + 10] = soft(unit.hp, 2000)
        out[row + 11] = clip(hero.mana / max(_ONE, hero.max_mana))
        out[row + 12] = np.float32(hero.level) / np.float32(rec.MAX_LEVEL)
        write_statuses(out, row + 13, unit, hero, tick, dt)
        if hero.recall_at > tick:
            out[row + 23] = _ONE
        for skill in range(rec.NUM_SKILLS):
            out[row + 24 + skill] = wait(hero.cooldown_ready[skill], tick, dt * np.float32(0.05))
        out[row + 27] = soft(unit.attack, 100)
        out[row + 28] = soft(unit.armour, 100)
        out[row + 29] = soft(unit.resist, 100)
        out[row + 30] = clip(hero.attack_range * np.float32(0.1))
        out[row + 31] = soft(hero.move_speed, 5)
        out[row + 32] = np.float32(hero.num_items) / np.float32(rec.ITEM_SLOTS)
        if distance <= hero.attack_range + 2 * table.kinds[rec.KIND_HERO].radius:
            out[row + 33] = _ONE
        if hero.order_target == agent and me.alive:
            out[row + 34] = _ONE


@kernel
def write_creeps(out: Any, at: int, around: int, game: Any, table: Any, eye: Any) -> None:
    """Write the `creeps` table at `at` and the four wave columns of `globals` at `around`."""
    _, team, x, y, sign, sees_all = eye
    bit = 1 << team
    own, enemy, row = 0, 0, at
    last = at + lay.NUM_OWN_CREEPS * 9
    own_front, enemy_front = -table.half_width, table.half_width
    for lane in range(game.creep_top.shape[1]):
        start = rec.creep_begin(game, team, lane)
        for index in range(start, start + game.creep_top[team, lane]):
            unit = game.units[index]
            if not unit.alive:
                continue
            own += 1
            own_front = max(own_front, unit.x * sign)
            dx, dy = (unit.x - x) * sign, (unit.y - y) * sign
            if row == last or dx * dx + dy * dy > _CREEP_RANGE_2:
                continue
            out[row] = _ONE
            write_place(out, row + 1, dx, dy)
            out[row + 4] = clip(unit.hp / unit.max_hp)
            out[row + 4 + unit.kind] = _ONE
            if unit.engaged:
                out[row + 8] = _ONE
            row += 9
        start = rec.creep_begin(game, 1 - team, lane)
        for index in range(start, start + game.creep_top[1 - team, lane]):
            unit = game.units[index]
            if unit.alive and (sees_all or unit.visible & bit != 0):
                enemy += 1
                enemy_front = min(enemy_front, unit.x * sign)
    out[around] = soft(own, 5)
    out[around + 1] = soft(enemy, 5)
    out[around + 2] = clip_signed(own_front / table.half_width)
    out[around + 3] = clip_signed(enemy_front / table.half_width)


@kernel
def write_structures(out: Any, at: int, game: Any, table: Any, eye: Any) -> None:
    """Write the `structures` table: own ones, then the enemy's; fallen ones stay empty."""
    agent, team, x, y, sign, _ = eye
    count = rec.structures_per_team(game)
    for side in range(2):
        owner = team if side == 0 else 1 - team
        start = rec.structure_begin(game, owner)
        for k in range(count):
            unit = game.units[start + k]
            if not unit.alive:
                continue
            row = at + (side * count + k) * 10
            out[row] = _ONE
            out[row + 1] = np.float32(side)
            if unit.kind == rec.KIND_CRYSTAL:
                out[row + 2] = _ONE
            write_place(out, row + 3, (unit.x - x) * sign, (unit.y - y) * sign)
            out[row + 6] = clip(unit.hp / unit.max_hp)
            if is_vulnerable(game, table, start + k):
                out[row + 7] = _ONE
            if unit.target == agent:
                out[row + 8] = _ONE
            out[row + 9] = soft(unit.stage, 3)


@kernel
def write_projectiles(out: Any, at: int, game: Any, table: Any, eye: Any) -> None:
    """Write the `projectiles` table: skill-shots and shots at heroes, the enemy's first."""
    agent, team, x, y, sign, _ = eye
    half = game.projectiles.shape[0] // 2
    row = at
    last = at + lay.NUM_PROJECTILES * 9
    speed = sign / (table.dt * np.float32(60.0))
    for side in range(2):
        owner = 1 - team if side == 0 else team
        for index in range(owner * half, owner * half + game.shots[owner]):
            shot = game.projectiles[index]
            if not shot.alive or shot.target >= game.heroes.shape[0]:
                continue
            dx, dy = (shot.x - x) * sign, (shot.y - y) * sign
            if dx * dx + dy * dy > _SHOT_RANGE_2:
                continue
            out[row] = _ONE
            if side == 0:
                out[row + 1] = _ONE
            write_place(out, row + 2, dx, dy)
            out[row + 5] = clip_signed(shot.vx * speed)
            out[row + 6] = clip_signed(shot.vy * speed)
            if shot.skill >= 0:
                out[row + 7] = _ONE
            if shot.target == agent:
                out[row + 8] = _ONE
            row += 9
            if row == last:
                return


@kernel
def write_zones(out: Any, at: int, game: Any, table: Any, eye: Any) -> None:
    """Write the `zones` table: area effects near the agent, the enemy's first."""
    _, team, x, y, sign, _ = eye
    half = game.zones.shape[0] // 2
    row = at
    last = at + lay.NUM_ZONES * 8
    for side in range(2):
        owner = 1 - team if side == 0 else team
        for index in range(owner * half, owner * half + game.areas[owner]):
            zone = game.zones[index]
            if not zone.alive:
                continue
            dx, dy = (zone.x - x) * sign, (zone.y - y) * sign
            distance_2 = dx * dx + dy * dy
            if distance_2 > _SHOT_RANGE_2:
                continue
            out[row] = _ONE
            if side == 0:
                out[row + 1] = _ONE
            write_place(out, row + 2, dx, dy)
            out[row + 5] = clip(zone.radius * np.float32(0.1))
            out[row + 6] = wait(zone.next, game.tick, table.dt * np.float32(0.5))
            if distance_2 <= zone.radius * zone.radius:
                out[row + 7] = _ONE
            row += 8
            if row == last:
                return


@kernel
def write_targets(out: Any, at: int, game: Any, table: Any, eye: Any) -> None:
    """Write the `targets` table: row i is what value i of the target head names."""
    agent, team, x, y, sign, sees_all = eye
    bit = 1 << team
    me = game.units[agent]
    reach = game.heroes[agent].attack_range + table.kinds[rec.KIND_HERO].radius
    count = game.heroes.shape[0] + rec.NUM_CREEP_TARGETS + rec.structures_per_team(game)
    for slot in range(count):
        index = target_of_slot(game, agent, slot)
        if index < 0:
            continue
        unit = game.units[index]
        ally = unit.team == team
        seen = unit.visible & bit != 0 or unit.kind >= rec.KIND_TOWER
        if not unit.alive or not (ally or seen or sees_all):
            continue
        row = at + slot * 17
        out[row] = _ONE
        if ally:
            out[row + 1] = _ONE
        out[row + 2 + unit.kind] = _ONE
        distance = write_place(out, row + 8, (unit.x - x) * sign, (unit.y - y) * sign)
        out[row + 11] = clip(unit.hp / unit.max_hp)
        out[row + 12] = soft(unit.hp, 500)
        if not ally:
            if seen and is_vulnerable(game, table, index):
                out[row + 13] = _ONE
            if distance <= reach + table.kinds[unit.kind].radius:
                out[row + 14] = _ONE
            if unit.hp * (np.float32(100.0) + unit.armour) <= me.attack * np.float32(100.0):
                out[row + 15] = _ONE
            target = unit.target
            if unit.kind == rec.KIND_HERO:
                target = game.heroes[index].order_target
            if target == agent:
                out[row + 16] = _ONE


@kernel
def write_map(out: Any, at: int, game: Any, eye: Any) -> None:
    """Write the block `map`: what stands in each cell around the agent, towards the enemy right."""
    agent, team, x, y, sign, sees_all = eye
    bit = 1 << team
    cells = lay.MAP_HEIGHT * lay.MAP_WIDTH
    scale = sign / np.float32(lay.MAP_CELL)
    for index in range(game.units.shape[0]):
        unit = game.units[index]
        if not unit.alive or index == agent:
            continue
        enemy = unit.team != team
        if enemy and not (sees_all or unit.visible & bit != 0):
            continue
        column = int(np.floor((unit.x - x) * scale + np.float32(0.5))) + lay.MAP_WIDTH // 2
        line = int(np.floor((unit.y - y) * scale + np.float32(0.5))) + lay.MAP_HEIGHT // 2
        if column < 0 or line < 0 or column >= lay.MAP_WIDTH or line >= lay.MAP_HEIGHT:
            continue
        cell = at + line * lay.MAP_WIDTH + column
        if enemy:
            out[cell + cells] += _ONE
            out[cell + 2 * cells] += unit.attack
        else:
            out[cell] += _ONE
    for cell in range(at, at + 2 * cells):
        out[cell] = out[cell] / (np.float32(2.0) + out[cell])
    for cell in range(at + 2 * cells, at + 3 * cells):
        out[cell] = out[cell] / (np.float32(100.0) + out[cell])
