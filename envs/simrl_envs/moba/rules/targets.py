"""Who sees whom, and what the slots of the target head name; both computed after each decision."""

from typing import Any

from simrl_envs.moba import records as rec
from simrl_envs.moba.rules.geometry import distance_squared, is_seen
from simrl_envs.moba.rules.kernel import kernel, whole


@kernel
def target_of_slot(game: Any, hero: int, slot: int) -> int:
    """Return the unit that a slot of the target head names, or −1.

    The slots, in the frame of the seat: the own team's heroes from oneself on (cyclic), the enemy
    heroes in agent order, the nearest visible enemy creeps, the enemy structures.
    """
    size = game.heroes.shape[0] // 2
    team = hero // size
    if slot < 0:
        return -1
    if slot < size:
        return team * size + (hero - team * size + slot) % size
    if slot < 2 * size:
        return (1 - team) * size + slot - size
    slot -= 2 * size
    if slot < rec.NUM_CREEP_TARGETS:
        return whole(game.heroes[hero].creep_slots[slot])
    slot -= rec.NUM_CREEP_TARGETS
    if slot < rec.structures_per_team(game):
        return rec.structure_begin(game, 1 - team) + slot
    return -1


@kernel
def fill_creep_slots(game: Any, table: Any, hero: int) -> None:
    """Write the nearest enemy creeps that the hero's team sees, by distance, ties by slot."""
    team = whole(game.units[hero].team)
    me = game.heroes[hero]
    unit = game.units[hero]
    limit = table.target_range * table.target_range
    count = 0
    for lane in range(game.creep_top.shape[1]):
        begin = rec.creep_begin(game, 1 - team, lane)
        for i in range(begin, begin + game.creep_top[1 - team, lane]):
            other = game.units[i]
            if not is_seen(other, team):
                continue
            dx = other.x - unit.x
            dy = other.y - unit.y
            distance = dx * dx + dy * dy
            if distance > limit:
                continue
            full = count == rec.NUM_CREEP_TARGETS
            if full and distance_squared(game, hero, whole(me.creep_slots[count - 1])) <= distance:
                continue
            k = count - 1 if full else count
            while k > 0 and distance_squared(game, hero, whole(me.creep_slots[k - 1])) > distance:
                me.creep_slots[k] = me.creep_slots[k - 1]
                k -= 1
            me.creep_slots[k] = i
            if not full:
                count += 1
    for k in range(count, rec.NUM_CREEP_TARGETS):
        me.creep_slots[k] = -1


@kernel
def update_sight(game: Any, table: Any) -> None:
    """Recompute every unit's visibility mask, and where heroes were last seen.

    A unit is seen within the sight radius of any living enemy unit. A hero in brush is seen only
    from the same patch, or if it revealed itself. Creeps are looked for by creeps of their own
    lane alone, since other lanes are out of their sight.
    """
    size = game.heroes.shape[0] // 2
    for i in range(2 * size):
        game.units[i].brush = _brush_at(table, game.units[i].x, game.units[i].y)
    for i in range(2 * size):
        unit = game.units[i]
        if unit.alive == 0:
            unit.visible = 0
            continue
        enemy = 1 - whole(unit.team)
        seen = _hero_is_seen(game, table, i, enemy)
        unit.visible = 3 if seen else 1 << unit.team
        if seen:
            hero = game.heroes[i]
            hero.last_seen_x = unit.x
            hero.last_seen_y = unit.y
            hero.last_seen_tick = game.tick
    num_lanes = game.creep_top.shape[1]
    for team in range(2):
        for lane in range(num_lanes):
            _creeps_in_sight(game, table, team, lane)
    begin = rec.structure_begin(game, 0)
    for i in range(begin, game.units.shape[0]):
        game.units[i].visible = 3 if game.units[i].alive != 0 else 0


@kernel
def _brush_at(table: Any, x: float, y: float) -> int:
    """Return 1 + the index of the brush patch that holds a point, or 0."""
    for b in range(table.num_brushes):
        brush = table.brushes[b]
        if abs(x - brush.x) <= brush.half_width and abs(y - brush.y) <= brush.half_height:
            return b + 1
    return 0


@kernel
def _hero_is_seen(game: Any, table: Any, hero: int, enemy: int) -> bool:
    unit = game.units[hero]
    size = game.heroes.shape[0] // 2
    hidden = unit.brush != 0 and game.tick >= unit.reveal_until
    sight = table.kinds[rec.KIND_HERO].sight
    for i in range(enemy * size, enemy * size + size):
        other = game.units[i]
        if other.alive != 0 and (not hidden or other.brush == unit.brush):
            dx = other.x - unit.x
            dy = other.y - unit.y
            if dx * dx + dy * dy <= sight * sight:
                return True
    sight = table.kinds[rec.KIND_MELEE].sight
    for lane in range(game.creep_top.shape[1]):
        begin = rec.creep_begin(game, enemy, lane)
        for i in range(begin, begin + game.creep_top[enemy, lane]):
            other = game.units[i]
            dx = other.x - unit.x
            dy = other.y - unit.y
            if other.alive == 0 or dx * dx + dy * dy > sight * sight:
                continue
            if not hidden or _brush_at(table, other.x, other.y) == unit.brush:
                return True
    return not hidden and _structures_see(game, table, unit.x, unit.y, enemy)


@kernel
def _structures_see(game: Any, table: Any, x: float, y: float, team: int) -> bool:
    begin = rec.structure_begin(game, team)
    sight = table.kinds[rec.KIND_TOWER].sight
    for i in range(begin, begin + rec.structures_per_team(game)):
        other = game.units[i]
        dx = other.x - x
        dy = other.y - y
        if other.alive != 0 and dx * dx + dy * dy <= sight * sight:
            return True
    return False


@kernel
def _creeps_in_sight(game: Any, table: Any, team: int, lane: int) -> None:
    enemy = 1 - team
    size = game.heroes.shape[0] // 2
    begin = rec.creep_begin(game, team, lane)
    other_lane = game.creep_top.shape[1] - 1 - lane
    rivals = rec.creep_begin(game, enemy, other_lane)
    rivals_end = rivals + game.creep_top[enemy, other_lane]
    sight = table.kinds[rec.KIND_MELEE].sight
    creep_limit = sight * sight
    sight = table.kinds[rec.KIND_HERO].sight
    hero_limit = sight * sight
    both = 3
    alone = 1 << team
    for i in range(begin, begin + game.creep_top[team, lane]):
        unit = game.units[i]
        if unit.alive == 0:
            continue
        x = unit.x
        y = unit.y
        seen = False
        for k in range(enemy * size, enemy * size + size):
            other = game.units[k]
            dx = other.x - x
            dy = other.y - y
            if dx * dx + dy * dy <= hero_limit and other.alive != 0:
                seen = True
        k = rivals
        while not seen and k < rivals_end:
            other = game.units[k]
            dx = other.x - x
            dy = other.y - y
            seen = dx * dx + dy * dy <= creep_limit and other.alive != 0
            k += 1
        seen = seen or _structures_see(game, table, x, y, enemy)
        unit.visible = both if seen else alone
