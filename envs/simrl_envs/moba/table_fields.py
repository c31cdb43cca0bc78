"""The keys of the data files, and the dtype that they are compiled into."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from simrl_envs.moba import records as rec
from simrl_envs.moba.schema import (
    ANY_SIGN,
    FRACTION,
    NUMBER,
    OPTIONAL,
    POSITIVE,
    Field,
    choice,
)

MAX_HEROES: Final = 32
MAX_ITEMS: Final = 32
MAX_BUILD: Final = 8
MAX_STRUCTURES: Final = 12
MAX_LANES: Final = 3
MAX_WAYPOINTS: Final = 8
MAX_BRUSHES: Final = 12

ITEM_STATS: Final = (
    "attack",
    "ability",
    "hp",
    "mana",
    "armour",
    "resist",
    "attack_speed",
    "move_speed",
    "lifesteal",
    "cooldown_reduction",
    "hp_regen",
    "mana_regen",
)

EFFECT_FIELDS: Final[dict[str, Field]] = {
    "kind": choice(rec.EFFECT_NAMES[1:], "effects"),
    "on": choice(rec.SIDE_NAMES, "sides", "enemy"),
    "damage": choice(rec.DAMAGE_NAMES, "damage types", "magic"),
    "amount": OPTIONAL,
    "per_rank": OPTIONAL,
    "attack": OPTIONAL,
    "ability": OPTIONAL,
    "max_hp": OPTIONAL,
    "duration": OPTIONAL,
}
SKILL_FIELDS: Final[dict[str, Field]] = {
    "name": Field(kind="text"),
    "aim": choice(rec.AIM_NAMES, "aims"),
    "delivery": choice(rec.DELIVERY_NAMES, "deliveries", "instant"),
    "side": choice(rec.SIDE_NAMES, "sides", "enemy"),
    "range": Field(high=60.0, default=0.0),
    "radius": Field(high=20.0, default=0.0),
    "speed": Field(high=100.0, default=0.0),
    "delay": OPTIONAL,
    "duration": OPTIONAL,
    "period": OPTIONAL,
    "pierce": Field(kind="flag", default=False),
    "follow": Field(kind="flag", default=False),
    "mana": NUMBER,
    "mana_per_rank": OPTIONAL,
    "cooldown": POSITIVE,
    "cooldown_per_rank": OPTIONAL,
    "effects": Field(kind="tables"),
}
HERO_FIELDS: Final[dict[str, Field]] = {
    "role": Field(kind="text"),
    "hp": POSITIVE,
    "hp_per_level": OPTIONAL,
    "mana": NUMBER,
    "mana_per_level": OPTIONAL,
    "attack": NUMBER,
    "attack_per_level": OPTIONAL,
    "ability": OPTIONAL,
    "ability_per_level": OPTIONAL,
    "armour": NUMBER,
    "armour_per_level": OPTIONAL,
    "resist": NUMBER,
    "resist_per_level": OPTIONAL,
    "hp_regen": NUMBER,
    "hp_regen_per_level": OPTIONAL,
    "mana_regen": NUMBER,
    "mana_regen_per_level": OPTIONAL,
    "move_speed": POSITIVE,
    "attack_range": POSITIVE,
    "attack_interval": POSITIVE,
    "attack_speed_per_level": OPTIONAL,
    "projectile_speed": OPTIONAL,
    "windup": Field(default=0.067),
    "passive": choice(rec.PASSIVE_NAMES, "passives"),
    "passive_values": Field(kind="numbers", default=()),
    "build": Field(kind="tables"),
    "skills": Field(kind="tables"),
}
KIND_FIELDS: Final[dict[str, Field]] = {
    "hp": OPTIONAL,
    "hp_per_minute": OPTIONAL,
    "attack": OPTIONAL,
    "attack_per_minute": OPTIONAL,
    "armour": OPTIONAL,
    "resist": OPTIONAL,
    "radius": POSITIVE,
    "sight": POSITIVE,
    "attack_range": OPTIONAL,
    "attack_interval": Field(low=0.1, default=1.0),
    "move_speed": OPTIONAL,
    "projectile_speed": OPTIONAL,
    "gold": OPTIONAL,
    "gold_per_minute": OPTIONAL,
    "xp": OPTIONAL,
    "against_heroes": Field(default=1.0),
    "against_structures": Field(default=1.0),
}
KIND_TICKS: Final = ("attack_interval",)
KIND_SPEEDS: Final = ("move_speed", "projectile_speed")

# Scalars of rules.toml; those of RULE_TICKS are seconds in the file and ticks in the record.
RULE_FIELDS: Final[dict[str, Field]] = {
    "dt": Field(low=0.005, high=0.5),
    "decision_ticks": Field(kind="integer", low=1, high=60),
    "max_minutes": Field(low=0.05, high=120.0),
    "first_wave": NUMBER,
    "wave_interval": Field(low=1.0),
    "wave_melee": Field(kind="integer", high=6),
    "wave_ranged": Field(kind="integer", high=6),
    "wave_siege_every": Field(kind="integer", low=1, high=1000),
    "creep_acquire": POSITIVE,
    "creep_think": Field(kind="integer", low=1, high=32),
    "passive_gold": NUMBER,
    "starting_gold": NUMBER,
    "xp_range": POSITIVE,
    "xp_base": POSITIVE,
    "xp_per_level": NUMBER,
    "kill_gold": NUMBER,
    "kill_gold_per_level": NUMBER,
    "kill_xp": NUMBER,
    "kill_xp_per_level": NUMBER,
    "assist_share": FRACTION,
    "assist_window": NUMBER,
    "respawn": NUMBER,
    "respawn_per_level": NUMBER,
    "recall": NUMBER,
    "rank_every": Field(kind="integer", low=1, high=15),
    "fountain_radius": POSITIVE,
    "fountain_heal": NUMBER,
    "fountain_damage": NUMBER,
    "relic_radius": POSITIVE,
    "relic_heal": FRACTION,
    "relic_interval": POSITIVE,
    "aggro_time": NUMBER,
    "combat_time": NUMBER,
    "reveal_time": NUMBER,
    "tower_ramp": NUMBER,
    "tower_ramp_hits": Field(kind="integer", high=50),
    "backdoor_radius": NUMBER,
    "backdoor_factor": FRACTION,
    "decay_start": NUMBER,
    "decay_per_minute": NUMBER,
    "target_range": POSITIVE,
    "knockback_time": POSITIVE,
    "max_cooldown_reduction": FRACTION,
}
RULE_TICKS: Final = (
    "first_wave",
    "wave_interval",
    "assist_window",
    "recall",
    "relic_interval",
    "aggro_time",
    "combat_time",
    "reveal_time",
    "knockback_time",
)

MAP_FIELDS: Final[dict[str, Field]] = {
    "half_width": Field(low=10.0, high=500.0),
    "half_height": Field(low=5.0, high=500.0),
    "fountain": Field(kind="numbers", low=-500.0, length=2),
    "relics": Field(kind="tables", default=()),
    "brushes": Field(kind="tables", default=()),
    "lanes": Field(kind="tables"),
    "structures": Field(kind="tables"),
}
STRUCTURE_FIELDS: Final[dict[str, Field]] = {
    "kind": choice(("tower", "crystal"), "structures"),
    "lane": Field(kind="integer", high=2, default=0),
    "tier": Field(kind="integer", high=9, default=0),
    "x": ANY_SIGN,
    "y": ANY_SIGN,
}
BRUSH_FIELDS: Final[dict[str, Field]] = {
    "x": ANY_SIGN,
    "y": ANY_SIGN,
    "half_width": POSITIVE,
    "half_height": POSITIVE,
}


def _floats(names: Mapping[str, Field] | tuple[str, ...], skip: set[str]) -> list[tuple[str, str]]:
    return [(name, "f4") for name in names if name not in skip]


def table_dtype() -> np.dtype[Any]:
    """Return the dtype of the compiled tables; it is the same for every map and data folder."""
    named = {"kind", "on", "damage"}
    effect = np.dtype(
        [
            *_floats(EFFECT_FIELDS, named | {"duration"}),
            ("duration", "i4"),
            ("kind", "u1"),
            ("on", "u1"),
            ("damage", "u1"),
        ],
        align=True,
    )
    ticks = ("delay", "duration", "period", "cooldown", "cooldown_per_rank")
    bytes_ = ("aim", "delivery", "side", "pierce", "follow", "num_effects")
    skill = np.dtype(
        _floats(SKILL_FIELDS, {"name", "effects", *ticks, *bytes_})
        + [(name, "f4" if name == "cooldown_per_rank" else "i4") for name in ticks]
        + [(name, "u1") for name in bytes_]
        + [("effects", effect, (rec.NUM_EFFECTS,))],
        align=True,
    )
    hero_skip = {"role", "passive", "passive_values", "build", "skills", "windup"}
    hero = np.dtype(
        [
            *_floats(HERO_FIELDS, hero_skip),
            ("passive_values", "f4", (4,)),
            ("windup", "i4"),
            ("passive", "u1"),
            ("num_build", "u1"),
            ("build", "u1", (MAX_BUILD,)),
            ("skills", skill, (rec.NUM_SKILLS,)),
        ],
        align=True,
    )
    kind = np.dtype(
        _floats(KIND_FIELDS, set(KIND_TICKS)) + [(name, "i4") for name in KIND_TICKS], align=True
    )
    item = np.dtype([("price", "f4"), *_floats(ITEM_STATS, set())], align=True)
    structure = np.dtype(
        [("x", "f4"), ("y", "f4"), ("kind", "u1"), ("lane", "u1"), ("tier", "u1")], align=True
    )
    brush = np.dtype(_floats(BRUSH_FIELDS, set()), align=True)
    integers = {name for name, field in RULE_FIELDS.items() if field.kind == "integer"}
    integers |= set(RULE_TICKS)
    rules = [(name, "i4" if name in integers else "f4") for name in RULE_FIELDS]
    return np.dtype(
        [
            *[item for item in rules if item[0] != "max_minutes"],
            ("max_ticks", "i4"),
            ("ticks_per_minute", "f4"),
            ("agent_buys", "u1"),
            ("num_heroes", "i4"),
            ("num_items", "i4"),
            ("num_brushes", "i4"),
            ("num_lanes", "i4"),
            ("num_structures", "i4"),
            ("half_width", "f4"),
            ("half_height", "f4"),
            ("fountain", "f4", (2,)),
            ("relics", "f4", (rec.NUM_RELICS, 2)),
            ("num_relics", "i4"),
            ("directions", "f4", (rec.NUM_DIRECTIONS, 2)),
            ("xp_to_level", "f4", (rec.MAX_LEVEL + 1,)),
            ("num_waypoints", "i4", (MAX_LANES,)),
            ("waypoints", "f4", (MAX_LANES, MAX_WAYPOINTS, 2)),
            ("brushes", brush, (MAX_BRUSHES,)),
            ("structures", structure, (MAX_STRUCTURES,)),
            ("kinds", kind, (rec.NUM_KINDS,)),
            ("items", item, (MAX_ITEMS,)),
            ("heroes", hero, (MAX_HEROES,)),
        ],
        align=True,
    )
