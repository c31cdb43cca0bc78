"""The static data of the game: TOML files, checked and compiled into one record for the kernels.

`load_tables()` reads `rules.toml`, `heroes.toml`, `items.toml` and `map_<name>.toml` from the
package's `data` folder or from a folder of the user's. All times are compiled from seconds to
ticks, all speeds from m/s to m/tick (except a hero's `move_speed`, which stays m/s).

`Tables.record` is an array of shape [1]; kernels take it and begin with `table = tables[0]`:
`table.heroes[k].skills[s].effects[e].amount`, `table.kinds[KIND_TOWER].attack_range`,
`table.items[i].price`, `table.structures[k]` (of blue; red's are their rotation),
`table.waypoints[lane, n]`, `table.directions[d]` (unit vectors; d + 8 is exactly the opposite).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
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
    read,
    read_value,
)

DATA_DIR: Final = Path(__file__).parent / "data"

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

_EFFECT: Final[dict[str, Field]] = {
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
_SKILL: Final[dict[str, Field]] = {
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
_HERO: Final[dict[str, Field]] = {
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
_KIND: Final[dict[str, Field]] = {
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
_KIND_TICKS: Final = ("attack_interval",)
_KIND_SPEEDS: Final = ("move_speed", "projectile_speed")

# Scalars of rules.toml; those of RULE_TICKS are seconds in the file and ticks in the record.
_RULES: Final[dict[str, Field]] = {
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

_MAP: Final[dict[str, Field]] = {
    "half_width": Field(low=10.0, high=500.0),
    "half_height": Field(low=5.0, high=500.0),
    "fountain": Field(kind="numbers", low=-500.0, length=2),
    "relics": Field(kind="tables", default=()),
    "brushes": Field(kind="tables", default=()),
    "lanes": Field(kind="tables"),
    "structures": Field(kind="tables"),
}
_STRUCTURE: Final[dict[str, Field]] = {
    "kind": choice(("tower", "crystal"), "structures"),
    "lane": Field(kind="integer", high=2, default=0),
    "tier": Field(kind="integer", high=9, default=0),
    "x": ANY_SIGN,
    "y": ANY_SIGN,
}
_BRUSH: Final[dict[str, Field]] = {
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
            *_floats(_EFFECT, named | {"duration"}),
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
        _floats(_SKILL, {"name", "effects", *ticks, *bytes_})
        + [(name, "f4" if name == "cooldown_per_rank" else "i4") for name in ticks]
        + [(name, "u1") for name in bytes_]
        + [("effects", effect, (rec.NUM_EFFECTS,))],
        align=True,
    )
    hero_skip = {"role", "passive", "passive_values", "build", "skills", "windup"}
    hero = np.dtype(
        [
            *_floats(_HERO, hero_skip),
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
        _floats(_KIND, set(_KIND_TICKS)) + [(name, "i4") for name in _KIND_TICKS], align=True
    )
    item = np.dtype([("price", "f4"), *_floats(ITEM_STATS, set())], align=True)
    structure = np.dtype(
        [("x", "f4"), ("y", "f4"), ("kind", "u1"), ("lane", "u1"), ("tier", "u1")], align=True
    )
    brush = np.dtype(_floats(_BRUSH, set()), align=True)
    integers = {name for name, field in _RULES.items() if field.kind == "integer"}
    integers |= set(RULE_TICKS)
    rules = [(name, "i4" if name in integers else "f4") for name in _RULES]
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


@dataclass(frozen=True)
class Tables:
    """Compiled data of one map with its names for people.

    Fields of the record of special use: `max_ticks`, `decision_ticks`, `dt`, `num_heroes`,
    `num_items`, `xp_to_level[l]` (total experience at which level `l + 1` begins, so
    `xp_to_level[0] == 0`).
    """

    record: np.ndarray
    """The compiled data, shape [1], dtype `table_dtype()`: what kernels take."""
    shape: rec.GameShape
    """Sizes of the game record of this map."""
    map_name: str
    """Name of the map (`1v1`)."""
    heroes: tuple[str, ...]
    """Names of the heroes, by id."""
    roles: tuple[str, ...]
    """Role of each hero (`tank`)."""
    skills: tuple[tuple[str, ...], ...]
    """Names of the three skills of each hero."""
    items: tuple[str, ...]
    """Names of the items, by id."""

    def hero_id(self, name: str) -> int:
        """Return the id of a hero.

        Raises:
            ValueError: If there is no such hero.
        """
        if name not in self.heroes:
            raise ValueError(f"unknown hero {name!r}; the heroes are {', '.join(self.heroes)}")
        return self.heroes.index(name)

    def new_games(self, num_games: int) -> np.ndarray:
        """Return zeroed game records, shape [num_games]; `reset_game` fills a row."""
        return np.zeros(num_games, rec.game_dtype(self.shape))


def map_names(data_dir: Path | None = None) -> tuple[str, ...]:
    """Return the names of the maps in a data folder."""
    folder = DATA_DIR if data_dir is None else Path(data_dir)
    return tuple(sorted(path.stem.removeprefix("map_") for path in folder.glob("map_*.toml")))


def load_tables(
    data_dir: Path | str | None = None,
    map: str = "1v1",
    *,
    max_minutes: float | None = None,
    agent_buys: bool = False,
) -> Tables:
    """Read, check and compile the data of one map.

    Args:
        data_dir: Folder with the four kinds of file; None takes the data that ships.
        map: Name of the map: the file is `map_<name>.toml`.
        max_minutes: Time limit [min] instead of that of `rules.toml`.
        agent_buys: Whether heroes buy by the buy button instead of by their build order.

    Raises:
        ValueError: If a file is missing or malformed; the message names file, key, value and
            what is valid.
    """
    folder = DATA_DIR if data_dir is None else Path(data_dir)
    names = map_names(folder)
    if map not in names:
        raise ValueError(f"unknown map {map!r} in {folder}; the maps are {', '.join(names)}")
    table = np.zeros(1, table_dtype())
    row = table[0]
    rules = _load_toml(folder / "rules.toml")
    _compile_rules(row, rules, max_minutes)
    row["agent_buys"] = agent_buys
    items = _compile_items(row, _load_toml(folder / "items.toml"))
    heroes, roles, skills = _compile_heroes(row, _load_toml(folder / "heroes.toml"), items)
    shape = _compile_map(row, _load_toml(folder / f"map_{map}.toml"), f"map_{map}.toml", len(items))
    table.flags.writeable = False
    return Tables(table, shape, map, heroes, roles, skills, items)


def _load_toml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path.name}: no such file in {path.parent}")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name}: not valid TOML: {error}") from error


def _ticks(seconds: float, dt: float) -> int:
    """Return a time in ticks; a time above zero is at least one tick."""
    return max(1, round(seconds / dt)) if seconds > 0 else 0


def _compile_rules(row: Any, data: dict[str, Any], max_minutes: float | None) -> None:
    kinds = data.pop("kinds", {})
    rules = read(data, _RULES, "rules.toml")
    dt = rules["dt"]
    if max_minutes is not None:
        rules["max_minutes"] = read_value(max_minutes, _RULES["max_minutes"], "max_minutes")
    for name, value in rules.items():
        if name != "max_minutes":
            row[name] = _ticks(value, dt) if name in RULE_TICKS else value
    row["max_ticks"] = _ticks(60.0 * rules["max_minutes"], dt)
    row["ticks_per_minute"] = 60.0 / dt
    levels = np.arange(rec.MAX_LEVEL + 1)
    step = rules["xp_base"] + rules["xp_per_level"] * (levels[1:] - 1)
    row["xp_to_level"][1:] = np.cumsum(step)
    for name in rec.KIND_NAMES:
        if name not in kinds:
            raise ValueError(f"rules.toml: kinds.{name}: missing")
    for name, entry in kinds.items():
        if name not in rec.KIND_NAMES:
            valid = ", ".join(rec.KIND_NAMES)
            raise ValueError(f"rules.toml: kinds.{name}: unknown kind; the kinds are {valid}")
        values = read(entry, _KIND, f"rules.toml: kinds.{name}")
        target = row["kinds"][rec.KIND_NAMES.index(name)]
        for key, value in values.items():
            target[key] = _ticks(value, dt) if key in _KIND_TICKS else value
            if key in _KIND_SPEEDS:
                target[key] = value * dt
    half = np.arange(rec.NUM_DIRECTIONS // 2) * (2.0 * np.pi / rec.NUM_DIRECTIONS)
    vectors = np.stack([np.cos(half), np.sin(half)], axis=1)
    vectors[np.abs(vectors) < 1e-12] = 0.0
    row["directions"][: rec.NUM_DIRECTIONS // 2] = vectors
    row["directions"][rec.NUM_DIRECTIONS // 2 :] = -vectors.astype(np.float32)


def _compile_items(row: Any, data: dict[str, Any]) -> tuple[str, ...]:
    fields = {"price": POSITIVE, **dict.fromkeys(ITEM_STATS, OPTIONAL)}
    if not 1 <= len(data) <= MAX_ITEMS:
        raise ValueError(f"items.toml: expected 1 to {MAX_ITEMS} items, got {len(data)}")
    for index, (name, entry) in enumerate(data.items()):
        for key, value in read(entry, fields, f"items.toml: {name}").items():
            row["items"][index][key] = value
    row["num_items"] = len(data)
    return tuple(data)


def _compile_heroes(
    row: Any, data: dict[str, Any], items: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[str, ...], ...]]:
    if not 1 <= len(data) <= MAX_HEROES:
        raise ValueError(f"heroes.toml: expected 1 to {MAX_HEROES} heroes, got {len(data)}")
    roles, skills = [], []
    dt = float(row["dt"])
    for index, (name, entry) in enumerate(data.items()):
        where = f"heroes.toml: {name}"
        lists = {"build", "skills"}
        fields = {key: field for key, field in _HERO.items() if key not in lists}
        scalars = {key: value for key, value in dict(entry).items() if key not in lists}
        values = read(scalars, fields, where)
        hero = row["heroes"][index]
        roles.append(values.pop("role"))
        passive_values = values.pop("passive_values")
        if len(passive_values) > 4:
            raise ValueError(f"{where}.passive_values: expected at most 4, got {passive_values}")
        hero["passive_values"][: len(passive_values)] = passive_values
        for key, value in values.items():
            hero[key] = value
        hero["windup"] = _ticks(values["windup"], dt)
        hero["attack_interval"] = values["attack_interval"] / dt
        hero["projectile_speed"] = values["projectile_speed"] * dt
        _compile_build(hero, entry.get("build"), items, where)
        skills.append(_compile_skills(hero, entry.get("skills"), dt, where))
    row["num_heroes"] = len(data)
    return tuple(data), tuple(roles), tuple(skills)


def _compile_build(hero: Any, build: Any, items: tuple[str, ...], where: str) -> None:
    if not isinstance(build, list) or not 1 <= len(build) <= MAX_BUILD:
        raise ValueError(f"{where}.build: expected a list of 1 to {MAX_BUILD} items, got {build!r}")
    for i, item in enumerate(build):
        field = choice(items, "items")
        hero["build"][i] = read_value(item, field, f"{where}.build[{i}]")
    hero["num_build"] = len(build)


def _compile_skills(hero: Any, skills: Any, dt: float, where: str) -> tuple[str, ...]:
    if not isinstance(skills, list) or len(skills) != rec.NUM_SKILLS:
        count = len(skills) if isinstance(skills, list) else skills
        raise ValueError(f"{where}.skills: expected {rec.NUM_SKILLS} skills, got {count!r}")
    names = []
    fields = {key: field for key, field in _SKILL.items() if key != "effects"}
    for s, entry in enumerate(skills):
        path = f"{where}.skills[{s}]"
        scalars = {key: value for key, value in dict(entry).items() if key != "effects"}
        values = read(scalars, fields, path)
        _check_skill(values, path)
        names.append(values.pop("name"))
        skill = hero["skills"][s]
        for key, value in values.items():
            skill[key] = value
        for key in ("delay", "duration", "period", "cooldown"):
            skill[key] = _ticks(values[key], dt)
        skill["cooldown_per_rank"] = values["cooldown_per_rank"] / dt
        skill["speed"] = values["speed"] * dt
        _compile_effects(skill, entry.get("effects"), dt, path)
    return tuple(names)


def _check_skill(values: dict[str, Any], path: str) -> None:
    """Refuse combinations of aim and delivery that mean nothing."""
    aim = rec.AIM_NAMES[values["aim"]]
    delivery = rec.DELIVERY_NAMES[values["delivery"]]
    valid = {
        "self": ("instant", "area"),
        "target": ("instant", "projectile", "dash"),
        "direction": ("projectile", "dash", "blink"),
        "point": ("area", "dash", "blink"),
    }[aim]
    if delivery not in valid:
        raise ValueError(
            f"{path}.delivery: {delivery!r} does not go with aim {aim!r}; "
            f"the deliveries are {', '.join(valid)}"
        )
    moving = delivery in ("projectile", "dash")
    for key in ("speed",) * moving + ("range",) * (aim != "self"):
        if values[key] <= 0:
            raise ValueError(f"{path}.{key}: must be above 0 for delivery {delivery!r}, got 0")
    if values["duration"] > 0 and values["period"] <= 0:
        raise ValueError(f"{path}.period: must be above 0 where duration is, got 0")


def _compile_effects(skill: Any, effects: Any, dt: float, path: str) -> None:
    if not isinstance(effects, list) or not 1 <= len(effects) <= rec.NUM_EFFECTS:
        raise ValueError(
            f"{path}.effects: expected a list of 1 to {rec.NUM_EFFECTS} effects, got {effects!r}"
        )
    timed = {"burn", "stun", "slow", "silence", "shield", "haste", "might", "frenzy", "guard"}
    for e, entry in enumerate(effects):
        where = f"{path}.effects[{e}]"
        values = read(entry, _EFFECT, where)
        values["kind"] += 1  # choices leave "none" out
        name = rec.EFFECT_NAMES[values["kind"]]
        if name in timed and values["duration"] <= 0:
            raise ValueError(f"{where}.duration: must be above 0 for {name!r}, got 0")
        for key, value in values.items():
            skill["effects"][e][key] = _ticks(value, dt) if key == "duration" else value
    skill["num_effects"] = len(effects)


def _compile_map(row: Any, data: dict[str, Any], where: str, num_items: int) -> rec.GameShape:
    lists = {"relics", "brushes", "lanes", "structures"}
    team_size = read_value(
        data.pop("team_size", None), Field(kind="integer", low=1, high=5), f"{where}: team_size"
    )
    fields = {key: field for key, field in _MAP.items() if key not in lists}
    values = read({k: v for k, v in data.items() if k not in lists}, fields, where)
    for key, value in values.items():
        row[key] = value
    lanes = data.get("lanes", [])
    _compile_lanes(row, lanes, where)
    structures = data.get("structures", [])
    _compile_structures(row, structures, len(lanes), where)
    brushes = data.get("brushes", [])
    if len(brushes) > MAX_BRUSHES:
        raise ValueError(f"{where}: brushes: at most {MAX_BRUSHES}, got {len(brushes)}")
    for i, entry in enumerate(brushes):
        for key, value in read(entry, _BRUSH, f"{where}: brushes[{i}]").items():
            row["brushes"][i][key] = value
    row["num_brushes"] = len(brushes)
    relics = data.get("relics", [])
    if len(relics) > rec.NUM_RELICS:
        raise ValueError(f"{where}: relics: at most {rec.NUM_RELICS}, got {len(relics)}")
    point = Field(kind="numbers", low=-500.0, length=2)
    for i, entry in enumerate(relics):
        row["relics"][i] = read_value(entry, point, f"{where}: relics[{i}]")
    row["num_relics"] = len(relics)
    _check_symmetry(row, where)
    return rec.GameShape(team_size, len(lanes), len(structures), num_items)


def _compile_lanes(row: Any, lanes: list[Any], where: str) -> None:
    if not 1 <= len(lanes) <= MAX_LANES:
        raise ValueError(f"{where}: lanes: expected 1 to {MAX_LANES} lanes, got {len(lanes)}")
    point = Field(kind="numbers", low=-500.0, length=2)
    for i, points in enumerate(lanes):
        if not 2 <= len(points) <= MAX_WAYPOINTS:
            raise ValueError(f"{where}: lanes[{i}]: expected 2 to {MAX_WAYPOINTS} points")
        row["num_waypoints"][i] = len(points)
        for n, entry in enumerate(points):
            row["waypoints"][i, n] = read_value(entry, point, f"{where}: lanes[{i}][{n}]")
    row["num_lanes"] = len(lanes)


def _compile_structures(row: Any, structures: list[Any], num_lanes: int, where: str) -> None:
    if not 2 <= len(structures) <= MAX_STRUCTURES:
        raise ValueError(
            f"{where}: structures: expected 2 to {MAX_STRUCTURES}, got {len(structures)}"
        )
    for i, entry in enumerate(structures):
        path = f"{where}: structures[{i}]"
        values = read(entry, _STRUCTURE, path)
        if values["lane"] >= num_lanes:
            raise ValueError(f"{path}.lane: expected 0 to {num_lanes - 1}, got {values['lane']}")
        values["kind"] += rec.KIND_TOWER
        is_last = i == len(structures) - 1
        if is_last != (values["kind"] == rec.KIND_CRYSTAL):
            raise ValueError(f"{path}.kind: the last structure, and no other, is the crystal")
        for key, value in values.items():
            row["structures"][i][key] = value
    row["num_structures"] = len(structures)


def _check_symmetry(row: Any, where: str) -> None:
    """Refuse a map that the half turn (x, y) -> (−x, −y) does not map onto itself."""
    num_lanes = int(row["num_lanes"])
    for i in range(num_lanes):
        other = num_lanes - 1 - i
        here = row["waypoints"][i, : row["num_waypoints"][i]]
        there = row["waypoints"][other, : row["num_waypoints"][other]]
        if here.shape != there.shape or not np.array_equal(here, -there[::-1]):
            raise ValueError(f"{where}: lanes[{i}] reversed and turned must be lanes[{other}]")
    for key, count in (("relics", row["num_relics"]), ("brushes", row["num_brushes"])):
        entries = [tuple(float(v) for v in entry) for entry in row[key][:count]]
        turned = sorted((-e[0] + 0.0, -e[1] + 0.0, *e[2:]) for e in entries)
        if sorted((e[0] + 0.0, e[1] + 0.0, *e[2:]) for e in entries) != turned:
            raise ValueError(f"{where}: {key} must be symmetric under a half turn")
