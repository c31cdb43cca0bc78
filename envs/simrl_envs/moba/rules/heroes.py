"""What heroes do: read an order, cast a skill, move and attack, channel, recover and return."""

import math
from typing import Any

from simrl_envs.moba import records as rec
from simrl_envs.moba.rules.effects import add_damage, add_heal, apply_skill, land_attack
from simrl_envs.moba.rules.flight import new_projectile, new_zone
from simrl_envs.moba.rules.geometry import head_for, is_seen, within, world_direction
from simrl_envs.moba.rules.growth import buy_by_build, buy_item, gain_gold, refresh_stats
from simrl_envs.moba.rules.kernel import kernel, real, whole
from simrl_envs.moba.rules.predicates import (
    at_fountain,
    can_attack_unit,
    can_buy,
    can_cast,
    can_cast_at,
    can_recall,
    can_shop,
    skill_cooldown,
    skill_mana,
)
from simrl_envs.moba.rules.targets import target_of_slot


@kernel
def place_at_fountain(game: Any, table: Any, i: int) -> None:
    """Put a hero into its fountain: team-mates stand in a column there."""
    unit = game.units[i]
    size = game.heroes.shape[0] // 2
    offset = 1.5 * (i % size) - 0.75 * (size - 1)
    sign = 1.0 if unit.team == rec.BLUE else -1.0
    unit.x = sign * table.fountain[0]
    unit.y = sign * (table.fountain[1] + offset)
    unit.vx = 0.0
    unit.vy = 0.0


@kernel
def read_order(game: Any, table: Any, i: int, action: Any) -> None:
    """Turn one agent's action (int64 [5], seat frame) into the hero's standing order.

    An illegal command leaves the hero with no order.
    """
    unit = game.units[i]
    hero = game.heroes[i]
    button = whole(action[rec.HEAD_BUTTON])
    previous = unit.target
    hero.order = rec.BUTTON_NONE
    hero.order_target = -1
    unit.target = -1
    if button not in (rec.BUTTON_NONE, rec.BUTTON_RECALL):
        hero.recall_at = 0
    if button == rec.BUTTON_MOVE:
        hero.order = rec.BUTTON_MOVE
        hero.order_move = world_direction(whole(unit.team), whole(action[rec.HEAD_MOVE]))
    elif button == rec.BUTTON_ATTACK:
        target = whole(target_of_slot(game, i, whole(action[rec.HEAD_TARGET])))
        if can_attack_unit(game, table, i, target):
            hero.order = rec.BUTTON_ATTACK
            hero.order_target = target
            unit.target = target
    elif rec.BUTTON_SKILL <= button < rec.BUTTON_SKILL + rec.NUM_SKILLS:
        hero.order = button
        hero.order_direction = world_direction(whole(unit.team), whole(action[rec.HEAD_DIRECTION]))
        hero.order_distance = action[rec.HEAD_DISTANCE]
        hero.order_target = target_of_slot(game, i, whole(action[rec.HEAD_TARGET]))
    elif button == rec.BUTTON_RECALL:
        if hero.recall_at == 0 and can_recall(game, table, i):
            hero.recall_at = game.tick + table.recall
    elif button == rec.BUTTON_BUY and can_buy(game, table, i, whole(action[rec.HEAD_TARGET])):
        buy_item(game, table, i, whole(action[rec.HEAD_TARGET]))
    if unit.target != previous or unit.target < 0:
        hero.windup_at = 0


@kernel
def cast_order(game: Any, table: Any, i: int) -> None:
    """Carry out a skill order: pay, start the cooldown, apply to oneself, launch the rest."""
    hero = game.heroes[i]
    skill = whole(hero.order) - rec.BUTTON_SKILL
    if skill < 0 or skill >= rec.NUM_SKILLS:
        return
    hero.order = rec.BUTTON_NONE
    data = table.heroes[hero.hero].skills[skill]
    target = whole(hero.order_target)
    if not can_cast(game, table, i, skill):
        return
    if data.aim == rec.AIM_TARGET and not can_cast_at(game, table, i, skill, target):
        return
    cost = skill_mana(game, table, i, skill)
    hero.mana -= cost
    hero.mana_spent += cost
    hero.cooldown_ready[skill] = game.tick + skill_cooldown(game, table, i, skill)
    hero.skills_cast += 1
    game.units[i].reveal_until = game.tick + table.reveal_time
    if table.heroes[hero.hero].passive == rec.PASSIVE_SPELL_STRIKE:
        hero.passive_count = 1
    apply_skill(game, table, i, skill, i, rec.SIDE_SELF)
    if data.delivery == rec.DELIVERY_INSTANT:
        if data.side == rec.SIDE_ALLY and data.aim == rec.AIM_TARGET:
            apply_skill(game, table, i, skill, target, rec.SIDE_ALLY)
        elif data.aim == rec.AIM_TARGET:
            _launch(game, table, i, skill, target, 1000.0)
        else:
            apply_skill(game, table, i, skill, i, rec.SIDE_ALLY)
        return
    _deliver(game, table, i, skill, target)


@kernel
def _deliver(game: Any, table: Any, i: int, skill: int, target: int) -> None:
    """Launch a skill that travels, strikes an area or moves its caster."""
    unit = game.units[i]
    hero = game.heroes[i]
    data = table.heroes[hero.hero].skills[skill]
    dx = 0.0
    dy = 0.0
    distance = real(data.range)
    if data.aim == rec.AIM_TARGET:
        dx = game.units[target].x - unit.x
        dy = game.units[target].y - unit.y
        distance = math.sqrt(dx * dx + dy * dy)
        if distance > 1e-6:
            dx /= distance
            dy /= distance
    elif data.aim != rec.AIM_SELF:
        dx = real(table.directions[hero.order_direction, 0])
        dy = real(table.directions[hero.order_direction, 1])
        if data.aim == rec.AIM_POINT:
            distance *= (hero.order_distance + 1) / rec.NUM_DISTANCES
    else:
        distance = 0.0
    if dx != 0.0 or dy != 0.0:
        hero.facing_x = dx
        hero.facing_y = dy
    if data.delivery == rec.DELIVERY_PROJECTILE:
        shot_target = target if data.aim == rec.AIM_TARGET else whole(-1)
        _launch(game, table, i, skill, shot_target, real(data.speed))
    elif data.delivery == rec.DELIVERY_AREA:
        x = unit.x + dx * distance
        y = unit.y + dy * distance
        _strike(game, table, i, skill, x, y, whole(data.delay), data.follow != 0)
    else:
        ticks = 1
        if data.delivery == rec.DELIVERY_DASH:
            ticks = max(1, math.ceil(distance / data.speed))
        unit.vx = dx * distance / ticks
        unit.vy = dy * distance / ticks
        unit.forced_until = game.tick + ticks
        if data.radius > 0.0:
            _strike(game, table, i, skill, real(unit.x), real(unit.y), ticks - 1, True)


@kernel
def _launch(game: Any, table: Any, i: int, skill: int, target: int, speed: float) -> None:
    """Send a skill's projectile, homing if it has a target."""
    index = new_projectile(game, i, target, skill)
    if index < 0:
        return
    shot = game.projectiles[index]
    hero = game.heroes[i]
    shot.speed = speed
    if target < 0:
        shot.vx = hero.facing_x * speed
        shot.vy = hero.facing_y * speed
        data = table.heroes[hero.hero].skills[skill]
        # The flight begins in the tick of the cast, so the last of n ticks is cast + n - 1.
        shot.until = game.tick + max(1, math.ceil(data.range / speed)) - 1


@kernel
def _strike(
    game: Any, table: Any, i: int, skill: int, x: float, y: float, delay: int, follows: bool
) -> None:
    """Set up a skill's zone."""
    index = new_zone(game, i, skill, x, y, delay)
    if index < 0:
        return
    zone = game.zones[index]
    data = table.heroes[game.heroes[i].hero].skills[skill]
    zone.radius = data.radius
    zone.period = data.period
    zone.until = zone.next + data.duration
    if follows:
        zone.follow = i


@kernel
def act(game: Any, table: Any, i: int) -> None:
    """Move or attack as the standing order says; sets the displacement of this tick."""
    unit = game.units[i]
    hero = game.heroes[i]
    tick = game.tick
    if unit.alive == 0 or tick < unit.forced_until:
        return
    unit.vx = 0.0
    unit.vy = 0.0
    if tick < unit.stun_until:
        hero.windup_at = 0
        return
    if hero.order == rec.BUTTON_MOVE:
        step = _step_length(game, table, i)
        hero.facing_x = table.directions[hero.order_move, 0]
        hero.facing_y = table.directions[hero.order_move, 1]
        unit.vx = hero.facing_x * step
        unit.vy = hero.facing_y * step
    elif hero.order == rec.BUTTON_ATTACK:
        _attack(game, table, i)


@kernel
def _step_length(game: Any, table: Any, i: int) -> float:
    """Return how far a hero walks in this tick [m]."""
    unit = game.units[i]
    hero = game.heroes[i]
    step = real(hero.move_speed * table.dt)
    if game.tick < unit.slow_until:
        step *= max(0.0, 1.0 - unit.slow)
    if game.tick < hero.haste_until:
        step *= 1.0 + hero.haste
    return step


@kernel
def _attack(game: Any, table: Any, i: int) -> None:
    """Walk into reach of the target, wind up, and let the attack go."""
    unit = game.units[i]
    hero = game.heroes[i]
    target = whole(hero.order_target)
    other = game.units[target]
    if not is_seen(other, unit.team):
        hero.windup_at = 0
        return
    if hero.windup_at > 0:
        if game.tick >= hero.windup_at:
            hero.windup_at = 0
            _release(game, table, i)
        return
    if not within(game, table, i, target, real(hero.attack_range)):
        head_for(unit, real(other.x), real(other.y), _step_length(game, table, i))
    elif game.tick >= unit.attack_ready:
        interval = hero.attack_interval
        if game.tick < hero.frenzy_until:
            interval /= 1.0 + hero.frenzy
        unit.attack_ready = game.tick + max(1, whole(interval + 0.5))
        hero.windup_at = game.tick + table.heroes[hero.hero].windup
        if hero.windup_at <= game.tick:
            hero.windup_at = 0
            _release(game, table, i)
    dx = other.x - unit.x
    dy = other.y - unit.y
    length = math.sqrt(dx * dx + dy * dy)
    if length > 1e-6:
        hero.facing_x = dx / length
        hero.facing_y = dy / length


@kernel
def _release(game: Any, table: Any, i: int) -> None:
    """Land a melee attack, or launch a ranged one."""
    unit = game.units[i]
    hero = game.heroes[i]
    base = table.heroes[hero.hero]
    target = whole(hero.order_target)
    damage = real(unit.attack)
    if game.tick < hero.might_until:
        damage *= 1.0 + hero.might
    has_bonus = 0
    if base.passive == rec.PASSIVE_NTH_HIT:
        hero.passive_count += 1
        if hero.passive_count >= base.passive_values[0]:
            hero.passive_count = 0
            has_bonus = 1
    elif base.passive == rec.PASSIVE_SPELL_STRIKE:
        has_bonus = whole(hero.passive_count)
        hero.passive_count = 0
    unit.reveal_until = game.tick + table.reveal_time
    if base.projectile_speed <= 0.0:
        land_attack(game, table, i, target, damage, has_bonus)
        return
    index = new_projectile(game, i, target, whole(-1))
    if index >= 0:
        shot = game.projectiles[index]
        shot.speed = base.projectile_speed
        shot.damage = damage
        shot.bonus = has_bonus


@kernel
def touch_ground(game: Any, table: Any) -> None:
    """Let fountains and relics act on the heroes that stand in them."""
    size = game.heroes.shape[0] // 2
    for r in range(table.num_relics):
        if game.tick < game.relic_ready[r]:
            continue
        for i in range(2 * size):
            unit = game.units[i]
            dx = unit.x - table.relics[r, 0]
            dy = unit.y - table.relics[r, 1]
            inside = dx * dx + dy * dy <= table.relic_radius * table.relic_radius
            if inside and unit.alive != 0:
                hero = game.heroes[i]
                hero.pending_heal += table.relic_heal * unit.max_hp
                hero.mana = min(hero.max_mana, hero.mana + table.relic_heal * hero.max_mana)
                game.relic_ready[r] = game.tick + table.relic_interval
    for i in range(2 * size):
        unit = game.units[i]
        if unit.alive != 0 and at_fountain(game, table, i, 1 - whole(unit.team)):
            amount = real(table.fountain_damage * table.dt)
            add_damage(game, table, i, amount, rec.DAMAGE_TRUE, whole(-1))


@kernel
def recover(game: Any, table: Any, i: int) -> None:
    """Pay the passive gold; regenerate, heal at the fountain, recall, shop; return to life."""
    unit = game.units[i]
    hero = game.heroes[i]
    gain_gold(game, i, real(table.passive_gold * table.dt))
    if unit.alive == 0:
        if game.tick >= hero.respawn_at:
            _respawn(game, table, i)
    else:
        unit.hp = min(unit.max_hp, unit.hp + hero.hp_regen * table.dt)
        hero.mana = min(hero.max_mana, hero.mana + hero.mana_regen * table.dt)
        if hero.recall_at > 0:
            _channel(game, table, i)
        if at_fountain(game, table, i, whole(unit.team)):
            share = table.fountain_heal * table.dt
            unit.hp = min(unit.max_hp, unit.hp + share * unit.max_hp)
            hero.mana = min(hero.max_mana, hero.mana + share * hero.max_mana)
    if table.agent_buys == 0 and can_shop(game, table, i):
        buy_by_build(game, table, i)


@kernel
def radiate(game: Any, table: Any, i: int) -> None:
    """Let an aura passive heal the team-mates nearby, once a second."""
    base = table.heroes[game.heroes[i].hero]
    if base.passive != rec.PASSIVE_AURA_HEAL or game.units[i].alive == 0:
        return
    period = max(1, whole(1.0 / table.dt + 0.5))
    if game.tick % period != 0:
        return
    amount = base.passive_values[0] + base.passive_values[1] * (game.heroes[i].level - 1)
    size = game.heroes.shape[0] // 2
    team = whole(game.units[i].team)
    for k in range(team * size, team * size + size):
        if game.units[k].alive != 0 and within(game, table, i, k, real(base.passive_values[2])):
            add_heal(game, k, real(amount), i)


@kernel
def _channel(game: Any, table: Any, i: int) -> None:
    unit = game.units[i]
    hero = game.heroes[i]
    if game.tick < unit.stun_until or game.tick < unit.forced_until:
        hero.recall_at = 0
    elif game.tick >= hero.recall_at:
        hero.recall_at = 0
        place_at_fountain(game, table, i)


@kernel
def _respawn(game: Any, table: Any, i: int) -> None:
    unit = game.units[i]
    hero = game.heroes[i]
    unit.alive = 1
    refresh_stats(game, table, i)
    unit.hp = unit.max_hp
    hero.mana = hero.max_mana
    place_at_fountain(game, table, i)
