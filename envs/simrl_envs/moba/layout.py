"""What an agent observes: the blocks and columns of the "policy" and "critic" groups.

Both groups have this layout; "policy" leaves out what the agent's team does not see, "critic" hides
nothing. The picture is drawn for the seat: a red agent sees the world turned by 180°, so that its
own base is always at negative x. Positions of other things are relative to the agent.

Units of columns: a plain ratio stays in [0, 1] or [-1, 1]. `soft s` marks a quantity q that was
squashed to q / (s + |q|), which is monotone, never saturates and is finest near zero, where it
matters; s carries the unit. `/ s` marks a plain division, clipped to the range.

The order of the columns here is the order in which `observe.py` writes them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from simrl.core import Block, Column, Layout, vector
from simrl_envs.moba import records as rec
from simrl_envs.moba.tables import Tables

NUM_OWN_CREEPS: Final = 6
"""Rows of the `creeps` table: allied creeps around the agent."""
CREEP_RANGE: Final = 25.0
"""Radius within which allied creeps are listed [m]."""
NUM_PROJECTILES: Final = 4
"""Rows of the `projectiles` table: skill-shots and shots at heroes, the enemy's first."""
NUM_ZONES: Final = 2
"""Rows of the `zones` table: area effects, the enemy's first."""
SHOT_RANGE: Final = 20.0
"""Radius within which projectiles and area effects are listed [m]."""
MAP_CHANNELS: Final = 3
MAP_HEIGHT: Final = 5
MAP_WIDTH: Final = 9
MAP_CELL: Final = 5.0
"""Edge of one cell of the local map [m]."""

BLOCK_ORDER: Final = (
    "own",
    "globals",
    "heroes",
    "creeps",
    "structures",
    "projectiles",
    "zones",
    "targets",
    "map",
)
"""Order of the blocks; index k of `ObservationSpec.offsets` belongs to block k."""


def _flag(name: str) -> Column:
    return Column(name, 0.0, 1.0, "flag")


def _ratio(name: str, unit: str = "fraction") -> Column:
    return Column(name, 0.0, 1.0, unit)


def _signed(name: str, unit: str) -> Column:
    return Column(name, -1.0, 1.0, unit)


def _relative() -> tuple[Column, ...]:
    """Return the three columns of a position relative to the agent."""
    return (
        _signed("x", "m, soft 20, towards the enemy base"),
        _signed("y", "m, soft 20"),
        _ratio("distance", "m, soft 20"),
    )


def _statuses() -> tuple[Column, ...]:
    return (
        _ratio("stun", "s / 2"),
        _ratio("slow", "fraction of speed removed"),
        _ratio("silence", "s / 2"),
        _ratio("burn", "fraction of maximum hp per s, soft 0.1"),
        _ratio("shield", "fraction of maximum hp"),
        _ratio("haste"),
        _ratio("might"),
        _ratio("frenzy"),
        _ratio("guard"),
        _flag("forced"),
    )


def _own(tables: Tables) -> tuple[Column, ...]:
    return (
        _flag("alive"),
        _ratio("hp"),
        _ratio("hp_points", "hp, soft 2000"),
        _ratio("mana"),
        _ratio("mana_points", "mana, soft 500"),
        _ratio("level", "level / 15"),
        _ratio("xp", "fraction of the way to the next level"),
        _ratio("gold", "gold in the purse, soft 1000"),
        _signed("x", "m / half the length of the field"),
        _signed("y", "m / half the width of the field"),
        _signed("facing_x", "unit vector"),
        _signed("facing_y", "unit vector"),
        _ratio("attack_wait", "s / 2"),
        *(_ratio(f"skill{s}_wait", "s / 20") for s in (1, 2, 3)),
        *(_flag(f"skill{s}_ready") for s in (1, 2, 3)),
        *_statuses(),
        _ratio("recall", "s of channel left / 10, 0 if not channelling"),
        _flag("windup"),
        _flag("in_combat"),
        _flag("draws_aggro"),
        _flag("at_fountain"),
        _flag("in_brush"),
        _ratio("attack", "damage, soft 100"),
        _ratio("ability", "ability power, soft 100"),
        _ratio("armour", "armour, soft 100"),
        _ratio("resist", "resistance, soft 100"),
        _ratio("attack_range", "m / 10"),
        _ratio("attack_rate", "attacks per s / 3"),
        _ratio("move_speed", "m/s, soft 5"),
        _ratio("lifesteal"),
        _ratio("cooldown_reduction"),
        _ratio("hp_regen", "hp/s, soft 10"),
        _ratio("mana_regen", "mana/s, soft 10"),
        _ratio("passive", "count of the passive, soft 3"),
        *(_ratio(f"item_{name}", "held / 2") for name in tables.items),
        *(_flag(f"hero_{name}") for name in tables.heroes),
    )


def _globals() -> tuple[Column, ...]:
    return (
        _ratio("time", "fraction of the time limit"),
        _ratio("next_wave", "s / 60"),
        _ratio("own_kills", "kills of the team, soft 5"),
        _ratio("enemy_kills", "kills of the team, soft 5"),
        _ratio("own_fallen", "structures lost, fraction"),
        _ratio("enemy_fallen", "structures lost, fraction"),
        _ratio("own_alive", "fraction of the team"),
        _ratio("enemy_alive", "fraction of the team"),
        _ratio("own_respawn", "s of the agent's own, soft 10"),
        _ratio("enemy_respawn", "s until the first enemy returns, soft 10"),
        _ratio("own_creeps", "number, soft 5"),
        _ratio("enemy_creeps", "number seen, soft 5"),
        _signed("own_front", "furthest own creep, m / half the length of the field"),
        _signed("enemy_front", "furthest enemy creep seen, m / half the length of the field"),
        _ratio("relic_1", "s until the relic is there / 60; for red, the second relic of the map"),
        _ratio("relic_2", "s until the relic is there / 60; for red, the first relic of the map"),
    )


def _heroes(tables: Tables) -> tuple[Column, ...]:
    return (
        _flag("present"),
        _flag("enemy"),
        _flag("seen"),
        _ratio("unseen", "s since last seen, soft 10"),
        *_relative(),
        _signed("vx", "m/s / 30"),
        _signed("vy", "m/s / 30"),
        _ratio("hp"),
        _ratio("hp_points", "hp, soft 2000"),
        _ratio("mana"),
        _ratio("level", "level / 15"),
        *_statuses(),
        _flag("recalling"),
        *(_ratio(f"skill{s}_wait", "s / 20") for s in (1, 2, 3)),
        _ratio("attack", "damage, soft 100"),
        _ratio("armour", "armour, soft 100"),
        _ratio("resist", "resistance, soft 100"),
        _ratio("attack_range", "m / 10"),
        _ratio("move_speed", "m/s, soft 5"),
        _ratio("num_items", "items / 6"),
        _flag("reaches_me"),
        _flag("targets_me"),
        *(_flag(f"hero_{name}") for name in tables.heroes),
    )


_CREEPS: Final = (
    _flag("present"),
    *_relative(),
    _ratio("hp"),
    _flag("melee"),
    _flag("ranged"),
    _flag("siege"),
    _flag("engaged"),
)
_STRUCTURES: Final = (
    _flag("present"),
    _flag("enemy"),
    _flag("crystal"),
    *_relative(),
    _ratio("hp"),
    _flag("attackable"),
    _flag("targets_me"),
    _ratio("heat", "consecutive hits on one hero, soft 3"),
)
_PROJECTILES: Final = (
    _flag("present"),
    _flag("enemy"),
    *_relative(),
    _signed("vx", "m/s / 60"),
    _signed("vy", "m/s / 60"),
    _flag("skill"),
    _flag("homes_on_me"),
)
_ZONES: Final = (
    _flag("present"),
    _flag("enemy"),
    *_relative(),
    _ratio("radius", "m / 10"),
    _ratio("wait", "s until the next pulse / 2"),
    _flag("covers_me"),
)
_TARGETS: Final = (
    _flag("present"),
    _flag("ally"),
    *(_flag(name) for name in rec.KIND_NAMES),
    *_relative(),
    _ratio("hp"),
    _ratio("hp_points", "hp, soft 500"),
    _flag("attackable"),
    _flag("in_range"),
    _flag("last_hit"),
    _flag("targets_me"),
)
_MAP: Final = (
    _ratio("allies", "number of allied units in the cell, soft 2"),
    _ratio("enemies", "number of seen enemy units in the cell, soft 2"),
    _ratio("enemy_damage", "attack damage per hit of the enemies in the cell, soft 100"),
)


@dataclass(frozen=True)
class ObservationSpec:
    """Hold the layout of the observation groups and where each block starts."""

    layout: Layout
    """Layout of "policy" and of "critic"."""
    offsets: np.ndarray
    """First float of each block of `BLOCK_ORDER`, int64 `[9]`; -1 for a block left out."""


def observation_spec(tables: Tables, local_map: bool) -> ObservationSpec:
    """Build the layout of the observations of a map.

    Args:
        tables: Compiled data; hero and item names become columns.
        local_map: Whether to add the block `map`, a coarse picture of the agent's surroundings.
    """
    shape = tables.shape

    def table(name: str, rows: int, columns: tuple[Column, ...]) -> Block:
        return Block(name, (rows, len(columns)), columns, "table", "present")

    blocks = [
        vector("own", *_own(tables)),
        vector("globals", *_globals()),
        table("heroes", shape.num_heroes - 1, _heroes(tables)),
        table("creeps", NUM_OWN_CREEPS, _CREEPS),
        table("structures", 2 * shape.structures_per_team, _STRUCTURES),
        table("projectiles", NUM_PROJECTILES, _PROJECTILES),
        table("zones", NUM_ZONES, _ZONES),
        table("targets", shape.num_targets, _TARGETS),
    ]
    if local_map:
        blocks.append(Block("map", (MAP_CHANNELS, MAP_HEIGHT, MAP_WIDTH), _MAP, "map"))
    layout = Layout(tuple(blocks))
    starts = [layout.slices[name].start if name in layout.slices else -1 for name in BLOCK_ORDER]
    return ObservationSpec(layout, np.array(starts, np.int64))
