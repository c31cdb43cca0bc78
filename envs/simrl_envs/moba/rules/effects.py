"""Damage, healing and the effect vocabulary of skills.

Nothing here changes hit points: damage and healing are gathered and committed together at the end
of the tick, and statuses only grow within a tick, so the order in which units act decides nothing.
"""

import math
from typing import Any

from simrl_envs.moba import records as rec
from simrl_envs.moba.rules.kernel import kernel, real, whole
from simrl_envs.moba.rules.predicates import is_vulnerable, skill_rank


@kernel
def structure_factor(game: Any, table: Any, unit: int) -> float:
    """Return the factor on damage to a structure: none while protected, decay late in the game."""
    if not is_vulnerable(game, table, unit):
        return 0.0
    minutes = game.tick / table.ticks_per_minute - table.decay_start
    factor = 1.0 + max(0.0, minutes) * table.decay_per_minute
    if game.units[unit].engaged == 0:
        factor *= table.backdoor_factor
    return factor


@kernel
def mitigated(unit: Any, raw: float, damage: int) -> float:
    """Return damage after armour or resistance: raw * 100 / (100 + resistance)."""
    if damage == rec.DAMAGE_PHYSICAL:
        return raw * 100.0 / (100.0 + unit.armour)
    if damage == rec.DAMAGE_MAGIC:
        return raw * 100.0 / (100.0 + unit.resist)
    return raw


@kernel
def add_damage(game: Any, table: Any, victim: int, raw: float, damage: int, source: int) -> float:
    """Gather damage on a unit for this tick, credit it, and return it after resistances.

    Args:
        game: Game record.
        table: Compiled tables.
        victim: Unit that is hit.
        raw: Damage before resistances.
        damage: `DAMAGE_*`.
        source: Hero that deals it, or −1 for creeps, structures and fountains.
    """
    unit = game.units[victim]
    amount = real(mitigated(unit, raw, damage))
    if unit.kind >= rec.KIND_TOWER:
        amount *= structure_factor(game, table, victim)
    if source >= 0:
        amount = _credit(game, table, victim, amount, source)
    unit.pending += amount
    return amount


@kernel
def _credit(game: Any, table: Any, victim: int, amount: float, source: int) -> float:
    """Apply the source's execute passive, count the damage and draw attention to the source."""
    unit = game.units[victim]
    hero = game.heroes[source]
    base = table.heroes[hero.hero]
    is_weak = unit.hp < base.passive_values[0] * unit.max_hp
    if base.passive == rec.PASSIVE_EXECUTE and is_weak and unit.kind < rec.KIND_TOWER:
        amount *= 1.0 + base.passive_values[1]
    unit.last_hero = source
    if unit.kind == rec.KIND_HERO:
        hero.damage_to_heroes += amount
        hero.aggro_until = game.tick + table.aggro_time
        hero.aggro_victim = victim
        hero.combat_until = game.tick + table.combat_time
        game.heroes[victim].hit_by[source % (game.heroes.shape[0] // 2)] = game.tick
    elif unit.kind >= rec.KIND_TOWER:
        hero.damage_to_structures += amount
    else:
        hero.damage_to_creeps += amount
    return amount


@kernel
def add_heal(game: Any, victim: int, amount: float, source: int) -> None:
    """Gather healing on a hero for this tick; what is missing now is credited to the source."""
    unit = game.units[victim]
    hero = game.heroes[victim]
    missing = max(0.0, unit.max_hp - unit.hp - hero.pending_heal)
    hero.pending_heal += amount
    game.heroes[source].heal_done += min(amount, missing)


@kernel
def effect_size(game: Any, table: Any, source: int, skill: int, index: int) -> float:
    """Return the size of one effect of a skill for a hero as it is now, before resistances."""
    hero = game.heroes[source]
    unit = game.units[source]
    effect = table.heroes[hero.hero].skills[skill].effects[index]
    return (
        effect.amount
        + effect.per_rank * (skill_rank(table, hero.level) - 1)
        + effect.attack * unit.attack
        + effect.ability * hero.ability
        + effect.max_hp * unit.max_hp
    )


@kernel
def apply_skill(game: Any, table: Any, source: int, skill: int, victim: int, side: int) -> None:
    """Apply those effects of a skill that are for one side (`SIDE_*`) to one unit.

    Structures are untouched by skills, creeps by the effects that only heroes can have.
    """
    unit = game.units[victim]
    if unit.alive == 0 or unit.kind >= rec.KIND_TOWER:
        return
    data = table.heroes[game.heroes[source].hero].skills[skill]
    is_hit = False
    for index in range(data.num_effects):
        effect = data.effects[index]
        if effect.on == side:
            size = real(effect_size(game, table, source, skill, index))
            _apply_effect(game, table, source, victim, effect, size)
            is_hit = True
    if is_hit and side == rec.SIDE_ENEMY and unit.kind == rec.KIND_HERO:
        game.heroes[source].skills_hit += 1
        game.heroes[source].aggro_until = game.tick + table.aggro_time
        game.heroes[source].aggro_victim = victim


@kernel
def _apply_effect(
    game: Any, table: Any, source: int, victim: int, effect: Any, size: float
) -> None:
    unit = game.units[victim]
    tick = game.tick
    until = tick + 1 + effect.duration
    kind = whole(effect.kind)
    if kind == rec.EFFECT_DAMAGE:
        add_damage(game, table, victim, size, whole(effect.damage), source)
    elif kind == rec.EFFECT_BURN:
        rate = mitigated(unit, size, whole(effect.damage)) * table.dt
        unit.burn = max(unit.burn, rate) if tick < unit.burn_until else rate
        unit.burn_until = max(unit.burn_until, until)
        unit.burn_hero = source
    elif kind == rec.EFFECT_STUN:
        unit.stun_until = max(unit.stun_until, until)
    elif kind == rec.EFFECT_SLOW:
        unit.slow = max(unit.slow, size) if tick < unit.slow_until else size
        unit.slow_until = max(unit.slow_until, until)
    elif kind == rec.EFFECT_KNOCKBACK:
        _push(game, table, source, victim, size)
    elif unit.kind == rec.KIND_HERO:
        _apply_to_hero(game, source, victim, kind, size, whole(until))


@kernel
def _push(game: Any, table: Any, source: int, victim: int, distance: float) -> None:
    """Move a unit away from the source by force over the next ticks."""
    unit = game.units[victim]
    origin = game.units[source]
    dx = unit.x - origin.x
    dy = unit.y - origin.y
    length = math.sqrt(dx * dx + dy * dy)
    if length < 1e-6:
        dx = game.heroes[source].facing_x
        dy = game.heroes[source].facing_y
        length = 1.0
    scale = distance / (length * table.knockback_time)
    unit.vx = dx * scale
    unit.vy = dy * scale
    unit.forced_until = game.tick + 1 + table.knockback_time
    unit.engaged = 0


@kernel
def _apply_to_hero(game: Any, source: int, victim: int, kind: int, size: float, until: int) -> None:
    hero = game.heroes[victim]
    tick = game.tick
    if kind == rec.EFFECT_SILENCE:
        hero.silence_until = max(hero.silence_until, until)
    elif kind == rec.EFFECT_SHIELD:
        hero.shield = max(hero.shield, size) if tick < hero.shield_until else size
        hero.shield_until = max(hero.shield_until, until)
    elif kind == rec.EFFECT_HEAL:
        add_heal(game, victim, size, source)
    elif kind == rec.EFFECT_HASTE:
        hero.haste = max(hero.haste, size) if tick < hero.haste_until else size
        hero.haste_until = max(hero.haste_until, until)
    elif kind == rec.EFFECT_MIGHT:
        hero.might = max(hero.might, size) if tick < hero.might_until else size
        hero.might_until = max(hero.might_until, until)
    elif kind == rec.EFFECT_FRENZY:
        hero.frenzy = max(hero.frenzy, size) if tick < hero.frenzy_until else size
        hero.frenzy_until = max(hero.frenzy_until, until)
    elif kind == rec.EFFECT_GUARD:
        hero.guard = max(hero.guard, size) if tick < hero.guard_until else size
        hero.guard_until = max(hero.guard_until, until)


@kernel
def land_attack(
    game: Any, table: Any, source: int, victim: int, damage: float, has_bonus: int
) -> None:
    """Land a hero's basic attack: damage, the passive's bonus, lifesteal and thorns."""
    hero = game.heroes[source]
    base = table.heroes[hero.hero]
    unit = game.units[victim]
    amount = add_damage(game, table, victim, damage, rec.DAMAGE_PHYSICAL, source)
    if has_bonus != 0:
        values = base.passive_values
        first = 1 if base.passive == rec.PASSIVE_NTH_HIT else 0
        bonus = values[first] * game.units[source].attack + values[first + 1] * hero.ability
        bonus += values[first + 2]
        add_damage(game, table, victim, real(bonus), rec.DAMAGE_MAGIC, source)
    if unit.kind >= rec.KIND_TOWER or game.units[source].alive == 0:
        return
    if hero.lifesteal > 0.0:
        add_heal(game, source, real(amount * hero.lifesteal), source)
    if unit.kind == rec.KIND_HERO:
        other = table.heroes[game.heroes[victim].hero]
        if other.passive == rec.PASSIVE_THORNS:
            returned = real(damage * other.passive_values[0])
            add_damage(game, table, source, returned, rec.DAMAGE_MAGIC, victim)
