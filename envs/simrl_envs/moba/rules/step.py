"""A game from its first tick to its last: reset, and one decision of play.

A tick resolves both teams at once: heroes cast, heroes move and attack, creeps and towers act
(all reading the positions and hit points of the last tick), then everything moves, projectiles and
zones land, and damage and deaths are committed. Two games that are half turns of each other
therefore stay so, bit for bit, and no side is first.
"""

from typing import Any

import numpy as np

from simrl_envs.moba import records as rec
from simrl_envs.moba.rules.commit import commit
from simrl_envs.moba.rules.flight import fly, pulse_zones
from simrl_envs.moba.rules.growth import buy_by_build, refresh_stats
from simrl_envs.moba.rules.heroes import (
    act,
    cast_order,
    place_at_fountain,
    radiate,
    read_order,
    recover,
    touch_ground,
)
from simrl_envs.moba.rules.kernel import kernel
from simrl_envs.moba.rules.lanes import drive_creeps, drive_structures, spawn_wave
from simrl_envs.moba.rules.targets import fill_creep_slots, update_sight


@kernel
def step_games(games: Any, tables: Any, actions: Any, first: int, last: int) -> None:
    """Play one decision of the games in rows `first .. last - 1`; finished games stay as they are.

    Releases the interpreter's lock: callers may run disjoint row ranges on several threads.

    Args:
        games: Game records, [N].
        tables: `Tables.record`, [1].
        actions: int64 [N, A, 5], heads as in `records.HEAD_NAMES`; an illegal command is none.
        first: First row.
        last: One past the last row.
    """
    table = tables[0]
    for row in range(first, last):
        if games[row].done == rec.RUNNING:
            step_game(games[row], table, actions[row])


@kernel
def step_game(game: Any, table: Any, actions: Any) -> None:
    """Play one decision of one running game with int64 actions [A, 5]."""
    for i in range(game.heroes.shape[0]):
        read_order(game, table, i, actions[i])
    for _ in range(table.decision_ticks):
        if game.done == rec.RUNNING:
            _tick(game, table)
    refresh_views(game, table)


@kernel
def refresh_views(game: Any, table: Any) -> None:
    """Recompute sight and target slots: what observations, masks and the next orders read."""
    update_sight(game, table)
    for i in range(game.heroes.shape[0]):
        fill_creep_slots(game, table, i)


@kernel
def _tick(game: Any, table: Any) -> None:
    num_heroes = game.heroes.shape[0]
    game.tick += 1
    if game.tick >= game.next_wave:
        spawn_wave(game, table)
    for i in range(num_heroes):
        cast_order(game, table, i)
    for i in range(num_heroes):
        act(game, table, i)
        radiate(game, table, i)
    drive_creeps(game, table)
    drive_structures(game, table)
    _move(game, table)
    fly(game, table)
    pulse_zones(game, table)
    touch_ground(game, table)
    commit(game, table)
    for i in range(num_heroes):
        recover(game, table, i)
    if game.done == rec.RUNNING and game.tick >= table.max_ticks:
        game.done = rec.TRUNCATED


@kernel
def _move(game: Any, table: Any) -> None:
    """Displace all living heroes and creeps; heroes stay on the field."""
    for i in range(game.heroes.shape[0]):
        unit = game.units[i]
        if unit.alive != 0:
            unit.x = max(-table.half_width, min(table.half_width, unit.x + unit.vx))
            unit.y = max(-table.half_height, min(table.half_height, unit.y + unit.vy))
    for team in range(2):
        for lane in range(game.creep_top.shape[1]):
            begin = rec.creep_begin(game, team, lane)
            for i in range(begin, begin + game.creep_top[team, lane]):
                unit = game.units[i]
                unit.x += unit.vx
                unit.y += unit.vy


@kernel
def reset_game(games: Any, tables: Any, row: int, seed: int, hero_ids: Any) -> None:
    """Begin a game in one row; every byte of the row follows from the arguments.

    Args:
        games: Game records, [N].
        tables: `Tables.record`, [1].
        row: Row to fill.
        seed: Seed of the game's own generator, any int64.
        hero_ids: Hero of each agent, int64 [A].
    """
    table = tables[0]
    empty = np.zeros_like(games[row : row + 1])
    games[row] = empty[0]
    game = games[row]
    game.seed = seed
    # The multiplier of Knuth's hash spreads neighbouring seeds over the 32-bit state.
    game.rng = (seed ^ (seed >> 32)) * 2654435761 & 0xFFFFFFFF
    game.winner = -1
    game.next_wave = table.first_wave
    size = game.heroes.shape[0] // 2
    for i in range(game.units.shape[0]):
        unit = game.units[i]
        unit.target = -1
        unit.last_hero = -1
        unit.burn_hero = -1
    for i in range(2 * size):
        _reset_hero(game, table, i, i // size, hero_ids[i])
    for team in range(2):
        _reset_structures(game, table, team)
    refresh_views(game, table)


@kernel
def _reset_hero(game: Any, table: Any, i: int, team: int, hero_id: int) -> None:
    unit = game.units[i]
    hero = game.heroes[i]
    unit.kind = rec.KIND_HERO
    unit.team = team
    unit.alive = 1
    hero.hero = hero_id
    hero.level = 1
    hero.gold = table.starting_gold
    hero.facing_x = 1.0 if team == rec.BLUE else -1.0
    hero.order_target = -1
    hero.aggro_victim = -1
    refresh_stats(game, table, i)
    unit.hp = unit.max_hp
    hero.mana = hero.max_mana
    place_at_fountain(game, table, i)
    if table.agent_buys == 0:
        buy_by_build(game, table, i)
    unit.hp = unit.max_hp
    hero.mana = hero.max_mana


@kernel
def _reset_structures(game: Any, table: Any, team: int) -> None:
    begin = rec.structure_begin(game, team)
    sign = 1.0 if team == rec.BLUE else -1.0
    for k in range(rec.structures_per_team(game)):
        data = table.structures[k]
        kind = table.kinds[data.kind]
        unit = game.units[begin + k]
        unit.kind = data.kind
        unit.team = team
        unit.alive = 1
        unit.lane = data.lane
        unit.x = sign * data.x
        unit.y = sign * data.y
        unit.max_hp = kind.hp
        unit.hp = kind.hp
        unit.attack = kind.attack
        unit.armour = kind.armour
        unit.resist = kind.resist
