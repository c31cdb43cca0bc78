"""Write what one agent observes into a row of floats, in one pass over the game record.

Everything is drawn for the seat: for red, the world is turned by 180°. With `sees_all` (the
"critic" group) nothing is hidden; without it (the "policy" group) the kernel reads enemies only
where the agent's team sees them.
"""

from typing import Any, Final

import numpy as np

from simrl_envs.moba import records as rec
from simrl_envs.moba.observe_units import (
    clip,
    clip_signed,
    soft,
    wait,
    write_creeps,
    write_heroes,
    write_map,
    write_projectiles,
    write_statuses,
    write_structures,
    write_targets,
    write_zones,
)
from simrl_envs.moba.rules.kernel import kernel
from simrl_envs.moba.rules.predicates import at_fountain, can_cast

_ONE: Final = np.float32(1.0)


@kernel
def observe_agent(
    game: Any, table: Any, agent: int, sees_all: bool, offsets: Any, out: Any
) -> None:
    """Write the whole observation of one agent.

    Args:
        game: One game record, after a step (sight and creep slots are up to date).
        table: `Tables.record[0]`.
        agent: Index of the agent.
        sees_all: Whether to write what is hidden from the agent's team, too.
        offsets: `ObservationSpec.offsets`.
        out: float32 `[layout.size]`; every float is written.
    """
    unit = game.units[agent]
    sign = _ONE if unit.team == rec.BLUE else -_ONE
    eye = (agent, np.int64(unit.team), unit.x, unit.y, sign, sees_all)
    out[:] = 0.0
    _write_own(out, offsets[0], game, table, agent, sign)
    _write_globals(out, offsets[1], game, table, eye)
    write_heroes(out, offsets[2], game, table, eye)
    write_creeps(out, offsets[3], offsets[1] + 10, game, table, eye)
    write_structures(out, offsets[4], game, table, eye)
    write_projectiles(out, offsets[5], game, table, eye)
    write_zones(out, offsets[6], game, table, eye)
    write_targets(out, offsets[7], game, table, eye)
    if offsets[8] >= 0:
        write_map(out, offsets[8], game, eye)


@kernel
def _write_own(out: Any, at: int, game: Any, table: Any, agent: int, sign: Any) -> None:
    """Write the block `own`."""
    unit = game.units[agent]
    hero = game.heroes[agent]
    tick, dt = game.tick, table.dt
    if unit.alive:
        out[at] = _ONE
        out[at + 1] = clip(unit.hp / unit.max_hp)
        out[at + 2] = soft(unit.hp, 2000)
    out[at + 3] = clip(hero.mana / max(_ONE, hero.max_mana))
    out[at + 4] = soft(max(np.float32(0.0), hero.mana), 500)
    out[at + 5] = np.float32(hero.level) / np.float32(rec.MAX_LEVEL)
    low = table.xp_to_level[hero.level - 1]
    high = table.xp_to_level[hero.level]
    out[at + 6] = clip((hero.xp - low) / (high - low))
    out[at + 7] = soft(hero.gold, 1000)
    out[at + 8] = clip_signed(unit.x * sign / table.half_width)
    out[at + 9] = clip_signed(unit.y * sign / table.half_height)
    out[at + 10] = clip_signed(hero.facing_x * sign)
    out[at + 11] = clip_signed(hero.facing_y * sign)
    out[at + 12] = wait(unit.attack_ready, tick, dt * np.float32(0.5))
    for skill in range(rec.NUM_SKILLS):
        out[at + 13 + skill] = wait(hero.cooldown_ready[skill], tick, dt * np.float32(0.05))
        if can_cast(game, table, agent, skill):
            out[at + 16 + skill] = _ONE
    write_statuses(out, at + 19, unit, hero, tick, dt)
    out[at + 29] = wait(hero.recall_at, tick, dt * np.float32(0.1))
    if hero.windup_at > tick:
        out[at + 30] = _ONE
    if tick < hero.combat_until:
        out[at + 31] = _ONE
    if tick < hero.aggro_until:
        out[at + 32] = _ONE
    if at_fountain(game, table, agent, unit.team):
        out[at + 33] = _ONE
    if unit.brush:
        out[at + 34] = _ONE
    _write_stats(out, at + 35, unit, hero, dt)
    start = at + 47
    for slot in range(rec.ITEM_SLOTS):
        item = hero.items[slot]
        if item:
            out[start + item - 1] = min(_ONE, out[start + item - 1] + np.float32(0.5))
    out[start + table.num_items + hero.hero] = _ONE


@kernel
def _write_stats(out: Any, at: int, unit: Any, hero: Any, dt: Any) -> None:
    """Write the twelve columns of what a hero can do."""
    out[at] = soft(unit.attack, 100)
    out[at + 1] = soft(hero.ability, 100)
    out[at + 2] = soft(unit.armour, 100)
    out[at + 3] = soft(unit.resist, 100)
    out[at + 4] = clip(hero.attack_range * np.float32(0.1))
    out[at + 5] = clip(_ONE / (hero.attack_interval * dt * np.float32(3.0)))
    out[at + 6] = soft(hero.move_speed, 5)
    out[at + 7] = clip(hero.lifesteal)
    out[at + 8] = clip(hero.haste_items)
    out[at + 9] = soft(hero.hp_regen, 10)
    out[at + 10] = soft(hero.mana_regen, 10)
    out[at + 11] = soft(hero.passive_count, 3)


@kernel
def _write_globals(out: Any, at: int, game: Any, table: Any, eye: Any) -> None:
    """Write the block `globals`, except the four columns about creeps (`write_creeps`)."""
    agent, team, _, _, _, _ = eye
    tick, dt = game.tick, table.dt
    size = rec.team_size(game)
    out[at] = clip(np.float32(tick) / np.float32(table.max_ticks))
    out[at + 1] = wait(game.next_wave, tick, dt / np.float32(60.0))
    first_return = np.int64(-1)
    for side in range(2):
        owner = team if side == 0 else 1 - team
        kills, alive = 0, 0
        for index in range(owner * size, owner * size + size):
            hero = game.heroes[index]
            kills += hero.kills
            if game.units[index].alive:
                alive += 1
            elif side == 1 and (first_return < 0 or hero.respawn_at < first_return):
                first_return = np.int64(hero.respawn_at)
        out[at + 2 + side] = soft(kills, 5)
        fallen = np.float32(game.fallen[owner])
        out[at + 4 + side] = clip(fallen / np.float32(rec.structures_per_team(game)))
        out[at + 6 + side] = np.float32(alive) / np.float32(size)
    if not game.units[agent].alive:
        out[at + 8] = soft(np.float32(max(0, game.heroes[agent].respawn_at - tick)) * dt, 10)
    if first_return >= 0:
        out[at + 9] = soft(np.float32(max(0, first_return - tick)) * dt, 10)
    scale = dt / np.float32(60.0)
    for k in range(rec.NUM_RELICS):
        index = k if team == rec.BLUE else rec.NUM_RELICS - 1 - k
        out[at + 14 + k] = wait(game.relic_ready[index], tick, scale)
