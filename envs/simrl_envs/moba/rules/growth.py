"""Levels, gold, items, and the statistics of a hero that follow from them."""

from typing import Any

from simrl_envs.moba import records as rec
from simrl_envs.moba.rules.kernel import kernel, real, whole
from simrl_envs.moba.rules.predicates import can_shop


@kernel
def refresh_stats(game: Any, table: Any, i: int) -> None:
    """Recompute a hero's statistics from its level and items; new maxima are also gained."""
    unit = game.units[i]
    hero = game.heroes[i]
    base = table.heroes[hero.hero]
    grown = hero.level - 1
    max_hp = base.hp + base.hp_per_level * grown
    max_mana = base.mana + base.mana_per_level * grown
    attack = base.attack + base.attack_per_level * grown
    ability = base.ability + base.ability_per_level * grown
    armour = base.armour + base.armour_per_level * grown
    resist = base.resist + base.resist_per_level * grown
    hp_regen = base.hp_regen + base.hp_regen_per_level * grown
    mana_regen = base.mana_regen + base.mana_regen_per_level * grown
    attack_speed = 1.0 + base.attack_speed_per_level * grown
    move_speed = real(base.move_speed)
    lifesteal = 0.0
    cooldown_reduction = 0.0
    if base.passive == rec.PASSIVE_LIFESTEAL:
        lifesteal += base.passive_values[0]
    for slot in range(hero.num_items):
        item = table.items[hero.items[slot] - 1]
        max_hp += item.hp
        max_mana += item.mana
        attack += item.attack
        ability += item.ability
        armour += item.armour
        resist += item.resist
        hp_regen += item.hp_regen
        mana_regen += item.mana_regen
        attack_speed += item.attack_speed
        move_speed += item.move_speed
        lifesteal += item.lifesteal
        cooldown_reduction += item.cooldown_reduction
    if unit.alive != 0 and unit.hp > 0.0:
        unit.hp += max_hp - unit.max_hp
        hero.mana += max_mana - hero.max_mana
    unit.max_hp = max_hp
    hero.max_mana = max_mana
    unit.attack = attack
    unit.armour = armour
    unit.resist = resist
    hero.ability = ability
    hero.hp_regen = hp_regen
    hero.mana_regen = mana_regen
    hero.attack_range = base.attack_range
    hero.attack_interval = base.attack_interval / attack_speed
    hero.move_speed = move_speed
    hero.lifesteal = lifesteal
    hero.haste_items = min(cooldown_reduction, table.max_cooldown_reduction)


@kernel
def gain_gold(game: Any, i: int, amount: float) -> None:
    """Put gold into a hero's purse."""
    hero = game.heroes[i]
    hero.gold += amount
    hero.gold_earned += amount


@kernel
def gain_xp(game: Any, table: Any, i: int, amount: float) -> None:
    """Give a hero experience, and the levels that it reaches."""
    hero = game.heroes[i]
    hero.xp += amount
    hero.xp_earned += amount
    has_risen = False
    while hero.level < rec.MAX_LEVEL and hero.xp >= table.xp_to_level[hero.level]:
        hero.level += 1
        has_risen = True
    if has_risen:
        refresh_stats(game, table, i)


@kernel
def buy_item(game: Any, table: Any, i: int, item: int) -> None:
    """Pay for an item and put it into the next slot; the caller has checked that it may be."""
    hero = game.heroes[i]
    hero.gold -= table.items[item].price
    hero.items[hero.num_items] = item + 1
    hero.num_items += 1
    refresh_stats(game, table, i)


@kernel
def buy_by_build(game: Any, table: Any, i: int) -> None:
    """Buy the next items of the hero's build order, where it may shop and has the gold."""
    hero = game.heroes[i]
    build = table.heroes[hero.hero]
    while hero.build_next < build.num_build:
        item = whole(build.build[hero.build_next])
        if hero.gold < table.items[item].price or not can_shop(game, table, i):
            return
        buy_item(game, table, i, item)
        hero.build_next += 1
