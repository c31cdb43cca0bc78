"""Weigh a duel before it is fought: who would fall first, and what towers and creeps add.

What an enemy shows (hit points, attack, resistances, level) is used; its cooldowns and mana are
not shown, so its skills count with a fixed share.
"""

from typing import Any, Final

from simrl_envs.moba.bots.senses import (
    allied_creeps_near,
    gap,
    lane_of,
    next_structure,
    rival_structure,
    seen_creeps_near,
    team_of,
)
from simrl_envs.moba.bots.skills import harms, mitigated, skill_damage, skill_of
from simrl_envs.moba.records import (
    DAMAGE_PHYSICAL,
    KIND_MELEE,
    KIND_RANGED,
    KIND_TOWER,
    NUM_SKILLS,
)
from simrl_envs.moba.rules.kernel import kernel
from simrl_envs.moba.rules.predicates import can_cast, skill_mana

SKILLS_READY: Final = 0.6  # share of an enemy's skills that is taken to be ready
CREEPS_JOIN: Final = 0.5  # share of the creeps around that join a fight of heroes
CREEPS_AT: Final = 7.0  # around: within this distance [m]
SOONEST: Final = 0.3  # no fight ends before this many seconds
LONGEST: Final = 60.0  # nor does a longer one tell us anything


@kernel
def attack_rate(game: Any, table: Any, hero: int, victim: int) -> float:
    """Return the damage a second of a hero's basic attacks on a unit."""
    hit = mitigated(game, game.units[hero].attack, DAMAGE_PHYSICAL, victim)
    return hit / (max(game.heroes[hero].attack_interval, 1.0) * table.dt)


@kernel
def ready_burst(game: Any, table: Any, seat: int, victim: int) -> float:
    """Return the damage of all skills that the agent could cast now, as far as its mana goes."""
    total = 0.0
    mana = game.heroes[seat].mana
    for skill in range(NUM_SKILLS):
        row = skill_of(game, table, seat, skill)
        if (
            harms(row)
            and can_cast(game, table, seat, skill)
            and mana >= skill_mana(game, table, seat, skill)
        ):
            total += skill_damage(game, table, seat, skill, victim)
            mana -= skill_mana(game, table, seat, skill)
    return total


@kernel
def expected_burst(game: Any, table: Any, foe: int, victim: int) -> float:
    """Return the damage to expect from an enemy's skills without knowing its cooldowns."""
    total = 0.0
    for skill in range(NUM_SKILLS):
        if harms(skill_of(game, table, foe, skill)):
            total += skill_damage(game, table, foe, skill, victim)
    return SKILLS_READY * total


@kernel
def tower_rate(game: Any, table: Any, seat: int, margin: float) -> float:
    """Return the damage a second of the enemy tower on an agent in its range and `margin` [m]."""
    tower = rival_structure(game, seat)
    unit = game.units[tower]
    if not unit.alive or unit.kind != KIND_TOWER:
        return 0.0
    kind = table.kinds[KIND_TOWER]
    if gap(game, table, seat, tower) > kind.attack_range + margin:
        return 0.0
    ramp = 1.0 + 0.5 * table.tower_ramp * table.tower_ramp_hits
    hit = mitigated(game, unit.attack * ramp, DAMAGE_PHYSICAL, seat)
    return hit / (kind.attack_interval * table.dt)


@kernel
def own_tower_rate(game: Any, table: Any, seat: int, foe: int) -> float:
    """Return the damage a second of the own tower on an enemy hero in its range."""
    tower = next_structure(game, team_of(game, seat), lane_of(game, seat))
    unit = game.units[tower]
    if not unit.alive or unit.kind != KIND_TOWER:
        return 0.0
    kind = table.kinds[KIND_TOWER]
    if gap(game, table, foe, tower) > kind.attack_range:
        return 0.0
    return mitigated(game, unit.attack, DAMAGE_PHYSICAL, foe) / (kind.attack_interval * table.dt)


@kernel
def creep_rate(game: Any, table: Any, victim: int) -> float:
    """Return the damage a second that one average creep of now does to a hero."""
    minutes = game.tick / table.ticks_per_minute
    melee, ranged = table.kinds[KIND_MELEE], table.kinds[KIND_RANGED]
    hit = 0.5 * (melee.attack + ranged.attack)
    hit += 0.5 * minutes * (melee.attack_per_minute + ranged.attack_per_minute)
    interval = 0.5 * (melee.attack_interval + ranged.attack_interval)
    return mitigated(game, hit, DAMAGE_PHYSICAL, victim) / (interval * table.dt)


@kernel
def kill_time(game: Any, table: Any, seat: int, foe: int) -> float:
    """Return the seconds in which the agent, its tower helping, would take a foe down."""
    left = game.units[foe].hp - ready_burst(game, table, seat, foe)
    if game.heroes[foe].shield_until > game.tick:
        left += game.heroes[foe].shield
    rate = attack_rate(game, table, seat, foe) + own_tower_rate(game, table, seat, foe)
    creeps = allied_creeps_near(game, team_of(game, seat), foe, CREEPS_AT)
    rate += CREEPS_JOIN * creeps * creep_rate(game, table, foe)
    return min(max(left / rate, SOONEST), LONGEST)


@kernel
def death_time(game: Any, table: Any, seat: int, foe: int) -> float:
    """Return the seconds in which a foe, with its creeps and tower, would take the agent down."""
    left = game.units[seat].hp - expected_burst(game, table, foe, seat)
    if game.heroes[seat].shield_until > game.tick:
        left += game.heroes[seat].shield
    rate = attack_rate(game, table, foe, seat) + tower_rate(game, table, seat, 1.5)
    rate += CREEPS_JOIN * seen_creeps_near(game, seat, CREEPS_AT) * creep_rate(game, table, seat)
    return min(max(left / rate, SOONEST), LONGEST)


@kernel
def odds(game: Any, table: Any, seat: int, foe: int) -> float:
    """Return how a duel stands: above 1 the foe falls first, below 1 the agent does."""
    return death_time(game, table, seat, foe) / kill_time(game, table, seat, foe)
