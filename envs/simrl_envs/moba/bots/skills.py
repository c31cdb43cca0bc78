"""How a bot judges and aims skills, from the data of the skill alone: no hero has a line here."""

from math import sqrt
from typing import Any, Final

from simrl_envs.moba.bots.orders import order_none, order_skill_at, order_skill_on
from simrl_envs.moba.records import (
    AIM_SELF,
    AIM_TARGET,
    BUTTON_SKILL,
    DAMAGE_MAGIC,
    DAMAGE_TRUE,
    DELIVERY_AREA,
    DELIVERY_BLINK,
    DELIVERY_DASH,
    DELIVERY_PROJECTILE,
    EFFECT_BURN,
    EFFECT_DAMAGE,
    EFFECT_HEAL,
    EFFECT_SHIELD,
    HEAD_BUTTON,
    SIDE_ENEMY,
)
from simrl_envs.moba.rules.geometry import distance_squared
from simrl_envs.moba.rules.kernel import kernel
from simrl_envs.moba.rules.predicates import skill_rank

LONGEST_LEAD: Final = 18.0  # ticks; beyond it a walk is not a line any more


@kernel
def skill_of(game: Any, table: Any, seat: int, skill: int) -> Any:
    """Return the table row of a hero's skill."""
    return table.heroes[game.heroes[seat].hero].skills[skill]


@kernel
def harms(skill: Any) -> bool:
    """Tell whether a skill does anything to enemies."""
    on_enemies = 0
    for index in range(skill.num_effects):
        on_enemies += skill.effects[index].on == SIDE_ENEMY
    return on_enemies > 0


@kernel
def mends(skill: Any) -> bool:
    """Tell whether a skill heals or shields oneself or an ally."""
    for index in range(skill.num_effects):
        kind = skill.effects[index].kind
        if kind in (EFFECT_HEAL, EFFECT_SHIELD):
            return True
    return False


@kernel
def carries(skill: Any) -> bool:
    """Tell whether a skill moves its hero."""
    return skill.delivery in (DELIVERY_DASH, DELIVERY_BLINK)


@kernel
def sweeps(skill: Any) -> bool:
    """Tell whether a skill may hit several enemies at once."""
    return skill.delivery == DELIVERY_AREA or skill.pierce != 0 or skill.aim == AIM_SELF


@kernel
def skill_reach(skill: Any) -> float:
    """Return how far from its hero a skill can touch a unit, edge to edge [m]."""
    if skill.aim == AIM_SELF:
        return 0.9 * skill.radius
    if skill.delivery == DELIVERY_PROJECTILE or skill.aim == AIM_TARGET:
        return skill.range
    return skill.range + 0.6 * skill.radius


@kernel
def mitigated(game: Any, amount: float, damage: int, victim: int) -> float:
    """Return what is left of a damage after the resistance of its type."""
    if damage == DAMAGE_TRUE:
        return amount
    unit = game.units[victim]
    against = unit.resist if damage == DAMAGE_MAGIC else unit.armour
    return amount * 100.0 / (100.0 + max(against, 0.0))


@kernel
def skill_damage(game: Any, table: Any, seat: int, skill: int, victim: int) -> float:
    """Return the hit points that one cast of a skill takes from a unit, burns to their end."""
    row = skill_of(game, table, seat, skill)
    hero = game.heroes[seat]
    rank = skill_rank(table, hero.level) - 1
    total = 0.0
    for index in range(row.num_effects):
        effect = row.effects[index]
        if effect.on != SIDE_ENEMY:
            continue
        if effect.kind != EFFECT_DAMAGE and effect.kind != EFFECT_BURN:
            continue
        amount = (
            effect.amount
            + effect.per_rank * rank
            + effect.attack * game.units[seat].attack
            + effect.ability * hero.ability
            + effect.max_hp * game.units[victim].max_hp
        )
        if effect.kind == EFFECT_BURN:
            amount *= effect.duration * table.dt
        elif row.duration > 0:  # a lasting area: count on half of its pulses
            amount *= max(1.0, 0.5 * row.duration / row.period)
        total += mitigated(game, amount, effect.damage, victim)
    return total


@kernel
def order_skill_self(skill: int, action: Any) -> None:
    """Cast a skill that needs no aim."""
    order_none(action)
    action[HEAD_BUTTON] = BUTTON_SKILL + skill


@kernel
def aim_skill(game: Any, table: Any, seat: int, skill: int, unit: int, action: Any) -> None:
    """Cast a skill at a unit, ahead of it by the time that the skill takes to arrive."""
    row = skill_of(game, table, seat, skill)
    if row.aim == AIM_SELF:
        order_skill_self(skill, action)
        return
    if row.aim == AIM_TARGET:
        order_skill_on(game, seat, skill, unit, action)
        return
    ticks = float(row.delay)
    if row.delivery == DELIVERY_PROJECTILE or row.delivery == DELIVERY_DASH:
        ticks += sqrt(distance_squared(game, seat, unit)) / row.speed
    ticks = min(ticks, LONGEST_LEAD)
    x = game.units[unit].x + game.units[unit].vx * ticks
    y = game.units[unit].y + game.units[unit].vy * ticks
    order_skill_at(game, seat, skill, row, x, y, action)


@kernel
def point_skill(
    game: Any, table: Any, seat: int, skill: int, x: float, y: float, action: Any
) -> None:
    """Cast a skill that is aimed by direction or point towards a world position."""
    row = skill_of(game, table, seat, skill)
    order_skill_at(game, seat, skill, row, x, y, action)
