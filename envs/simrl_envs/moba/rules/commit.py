"""The end of a tick: gathered damage and healing become hit points, then the dead are counted."""

from typing import Any

from simrl_envs.moba import records as rec
from simrl_envs.moba.rules.effects import add_damage
from simrl_envs.moba.rules.geometry import distance_squared
from simrl_envs.moba.rules.growth import gain_gold, gain_xp
from simrl_envs.moba.rules.kernel import kernel, real, whole


@kernel
def commit(game: Any, table: Any) -> None:
    """Apply this tick's damage and healing to all units at once, then handle deaths.

    All hit points change before any death counts, so two heroes can kill each other.
    """
    num_heroes = game.heroes.shape[0]
    deaths = 0
    for i in range(num_heroes):
        if game.units[i].alive != 0:
            _burn(game, table, i)
            deaths += _commit_hero(game, table, i)
    for team in range(2):
        for lane in range(game.creep_top.shape[1]):
            begin = rec.creep_begin(game, team, lane)
            for i in range(begin, begin + game.creep_top[team, lane]):
                unit = game.units[i]
                if unit.alive == 0:
                    continue
                if game.tick < unit.burn_until:
                    _burn(game, table, i)
                if unit.pending > 0.0:
                    deaths += _commit_unit(unit)
    begin = rec.structure_begin(game, 0)
    for i in range(begin, game.units.shape[0]):
        if game.units[i].pending > 0.0:
            deaths += _commit_unit(game.units[i])
    if deaths > 0:
        _bury(game, table)
    for i in range(num_heroes):
        game.units[i].last_hero = -1


@kernel
def _burn(game: Any, table: Any, i: int) -> None:
    """Gather one tick of damage over time."""
    unit = game.units[i]
    if game.tick < unit.burn_until:
        add_damage(game, table, i, real(unit.burn), rec.DAMAGE_TRUE, whole(unit.burn_hero))


@kernel
def _commit_unit(unit: Any) -> int:
    """Apply the gathered damage to a creep or structure; return 1 if that was its end."""
    unit.hp -= unit.pending
    unit.pending = 0.0
    if unit.hp <= 0.0:
        return 1
    unit.last_hero = -1
    return 0


@kernel
def _commit_hero(game: Any, table: Any, i: int) -> int:
    """Apply the gathered damage and healing to a hero; return 1 if it has fallen.

    Damage passes guard, the last-stand passive, the mana-shield passive, the shield, in this order.
    """
    unit = game.units[i]
    hero = game.heroes[i]
    if unit.pending > 0.0:
        base = table.heroes[hero.hero]
        damage = real(unit.pending)
        unit.pending = 0.0
        hero.recall_at = 0
        hero.combat_until = game.tick + table.combat_time
        if game.tick < hero.guard_until:
            damage *= max(0.0, 1.0 - hero.guard)
        if base.passive == rec.PASSIVE_LAST_STAND:
            if unit.hp < base.passive_values[0] * unit.max_hp:
                damage *= 1.0 - base.passive_values[1]
        elif base.passive == rec.PASSIVE_MANA_SHIELD and base.passive_values[1] > 0.0:
            price = real(base.passive_values[1])
            paid = min(damage * base.passive_values[0], hero.mana / price)
            hero.mana -= paid * price
            damage -= paid
        if game.tick < hero.shield_until:
            absorbed = min(real(hero.shield), damage)
            hero.shield -= absorbed
            damage -= absorbed
        hero.damage_taken += min(damage, real(unit.hp))
        unit.hp -= damage
    if unit.hp <= 0.0:
        hero.pending_heal = 0.0
        return 1
    if hero.pending_heal > 0.0:
        unit.hp = min(unit.max_hp, unit.hp + hero.pending_heal)
        hero.pending_heal = 0.0
    return 0


@kernel
def _bury(game: Any, table: Any) -> None:
    """Remove the dead and pay those who felled them."""
    for i in range(game.heroes.shape[0]):
        unit = game.units[i]
        if unit.alive != 0 and unit.hp <= 0.0:
            _hero_falls(game, table, i)
    for team in range(2):
        for lane in range(game.creep_top.shape[1]):
            begin = rec.creep_begin(game, team, lane)
            top = 0
            for slot in range(game.creep_top[team, lane]):
                unit = game.units[begin + slot]
                if unit.alive != 0 and unit.hp <= 0.0:
                    _creep_falls(game, table, begin + slot)
                if unit.alive != 0:
                    top = slot + 1
            game.creep_top[team, lane] = top
    crystals = 0
    for team in range(2):
        begin = rec.structure_begin(game, team)
        for i in range(begin, begin + rec.structures_per_team(game)):
            unit = game.units[i]
            if unit.alive != 0 and unit.hp <= 0.0:
                _structure_falls(game, table, i)
                if unit.kind == rec.KIND_CRYSTAL:
                    crystals += 1
                    game.winner = 1 - team
                    game.done = rec.TERMINATED
    if crystals == 2:
        game.winner = -1


@kernel
def _share_xp(game: Any, table: Any, dead: int, amount: float) -> None:
    """Share experience among the living enemy heroes near a death."""
    size = game.heroes.shape[0] // 2
    enemy = 1 - whole(game.units[dead].team)
    limit = table.xp_range * table.xp_range
    count = 0
    for i in range(enemy * size, enemy * size + size):
        if game.units[i].hp > 0.0 and distance_squared(game, dead, i) <= limit:
            count += 1
    for i in range(enemy * size, enemy * size + size):
        if game.units[i].hp > 0.0 and distance_squared(game, dead, i) <= limit:
            gain_xp(game, table, i, amount / count)


@kernel
def _creep_falls(game: Any, table: Any, i: int) -> None:
    unit = game.units[i]
    data = table.kinds[unit.kind]
    unit.alive = 0
    unit.visible = 0
    if unit.last_hero >= 0:
        minutes = game.tick / table.ticks_per_minute
        gain_gold(game, whole(unit.last_hero), real(data.gold + data.gold_per_minute * minutes))
        game.heroes[unit.last_hero].last_hits += 1
    _share_xp(game, table, i, real(data.xp))


@kernel
def _structure_falls(game: Any, table: Any, i: int) -> None:
    unit = game.units[i]
    data = table.kinds[unit.kind]
    unit.alive = 0
    unit.visible = 0
    unit.hp = 0.0
    unit.target = -1
    game.fallen[unit.team] += 1
    if unit.last_hero >= 0:
        game.heroes[unit.last_hero].towers += 1
    size = game.heroes.shape[0] // 2
    enemy = 1 - whole(unit.team)
    for k in range(enemy * size, enemy * size + size):
        gain_gold(game, k, real(data.gold / size))
        if game.units[k].hp > 0.0:
            gain_xp(game, table, k, real(data.xp / size))


@kernel
def _hero_falls(game: Any, table: Any, i: int) -> None:
    """Pay killer and helpers, share experience, and start the respawn clock.

    The kill is of the hero that landed the last blow, else (a tower or creep landed it) of the
    enemy hero that hit last within the assist window.
    """
    unit = game.units[i]
    hero = game.heroes[i]
    size = game.heroes.shape[0] // 2
    enemy = 1 - whole(unit.team)
    since = game.tick - table.assist_window
    killer = whole(unit.last_hero)
    latest = max(since, 0)
    if killer < 0:
        for k in range(size):
            if hero.hit_by[k] > latest:
                latest = hero.hit_by[k]
                killer = enemy * size + k
    if killer >= 0:
        bounty = table.kill_gold + table.kill_gold_per_level * hero.level
        gain_gold(game, killer, real(bounty))
        game.heroes[killer].kills += 1
        for k in range(size):
            helper = enemy * size + k
            if helper != killer and hero.hit_by[k] > max(since, 0):
                gain_gold(game, helper, real(bounty * table.assist_share))
                game.heroes[helper].assists += 1
    _share_xp(game, table, i, real(table.kill_xp + table.kill_xp_per_level * hero.level))
    hero.deaths += 1
    seconds = table.respawn + table.respawn_per_level * hero.level
    hero.respawn_at = game.tick + whole(seconds / table.dt + 0.5)
    _clear(game, i)


@kernel
def _clear(game: Any, i: int) -> None:
    """End everything that a living hero was doing or suffering."""
    unit = game.units[i]
    hero = game.heroes[i]
    unit.alive = 0
    unit.visible = 0
    unit.hp = 0.0
    unit.vx = 0.0
    unit.vy = 0.0
    unit.pending = 0.0
    unit.stun_until = 0
    unit.slow_until = 0
    unit.burn_until = 0
    unit.forced_until = 0
    unit.reveal_until = 0
    unit.target = -1
    hero.order = rec.BUTTON_NONE
    hero.order_target = -1
    hero.pending_heal = 0.0
    hero.shield = 0.0
    hero.shield_until = 0
    hero.silence_until = 0
    hero.haste_until = 0
    hero.might_until = 0
    hero.frenzy_until = 0
    hero.guard_until = 0
    hero.recall_at = 0
    hero.windup_at = 0
    hero.combat_until = 0
    hero.aggro_until = 0
    hero.aggro_victim = -1
    for k in range(hero.hit_by.shape[0]):
        hero.hit_by[k] = 0
