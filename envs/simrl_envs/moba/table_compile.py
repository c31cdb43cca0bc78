"""Compile checked TOML tables into the one record of the kernels: times to ticks, names to ids."""

from typing import Any

import numpy as np

from simrl_envs.moba import records as rec
from simrl_envs.moba.schema import OPTIONAL, POSITIVE, Field, choice, read, read_value
from simrl_envs.moba.table_fields import (
    BRUSH_FIELDS,
    EFFECT_FIELDS,
    HERO_FIELDS,
    ITEM_STATS,
    KIND_FIELDS,
    KIND_SPEEDS,
    KIND_TICKS,
    MAP_FIELDS,
    MAX_BRUSHES,
    MAX_BUILD,
    MAX_HEROES,
    MAX_ITEMS,
    MAX_LANES,
    MAX_STRUCTURES,
    MAX_WAYPOINTS,
    RULE_FIELDS,
    RULE_TICKS,
    SKILL_FIELDS,
    STRUCTURE_FIELDS,
)


def _ticks(seconds: float, dt: float) -> int:
    """Return a time in ticks; a time above zero is at least one tick."""
    return max(1, round(seconds / dt)) if seconds > 0 else 0


def _table(entry: Any, where: str, skip: set[str]) -> dict[str, Any]:
    """Return the keys of a table but for some."""
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected a table, got {entry!r}")
    return {key: value for key, value in entry.items() if key not in skip}


def _entries(data: dict[str, Any], key: str, where: str) -> list[Any]:
    """Return a list of the data, empty if it is absent."""
    value = data.get(key, [])
    if not isinstance(value, list):
        raise ValueError(f"{where}: {key}: expected a list, got {value!r}")
    return value


def compile_rules(row: Any, data: dict[str, Any], max_minutes: float | None) -> None:
    """Fill in the scalars of `rules.toml` and the kinds of unit."""
    kinds = data.pop("kinds", {})
    rules = read(data, RULE_FIELDS, "rules.toml")
    dt = rules["dt"]
    if max_minutes is not None:
        rules["max_minutes"] = read_value(max_minutes, RULE_FIELDS["max_minutes"], "max_minutes")
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
        values = read(entry, KIND_FIELDS, f"rules.toml: kinds.{name}")
        target = row["kinds"][rec.KIND_NAMES.index(name)]
        for key, value in values.items():
            target[key] = _ticks(value, dt) if key in KIND_TICKS else value
            if key in KIND_SPEEDS:
                target[key] = value * dt
    half = np.arange(rec.NUM_DIRECTIONS // 2) * (2.0 * np.pi / rec.NUM_DIRECTIONS)
    vectors = np.stack([np.cos(half), np.sin(half)], axis=1)
    vectors[np.abs(vectors) < 1e-12] = 0.0
    row["directions"][: rec.NUM_DIRECTIONS // 2] = vectors
    row["directions"][rec.NUM_DIRECTIONS // 2 :] = -vectors.astype(np.float32)


def compile_items(row: Any, data: dict[str, Any]) -> tuple[str, ...]:
    """Fill in the items and return their names."""
    fields = {"price": POSITIVE, **dict.fromkeys(ITEM_STATS, OPTIONAL)}
    if not 1 <= len(data) <= MAX_ITEMS:
        raise ValueError(f"items.toml: expected 1 to {MAX_ITEMS} items, got {len(data)}")
    for index, (name, entry) in enumerate(data.items()):
        for key, value in read(entry, fields, f"items.toml: {name}").items():
            row["items"][index][key] = value
    row["num_items"] = len(data)
    return tuple(data)


def compile_heroes(
    row: Any, data: dict[str, Any], items: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Fill in the heroes and return their names, roles and skill names."""
    if not 1 <= len(data) <= MAX_HEROES:
        raise ValueError(f"heroes.toml: expected 1 to {MAX_HEROES} heroes, got {len(data)}")
    roles, skills = [], []
    dt = float(row["dt"])
    for index, (name, entry) in enumerate(data.items()):
        where = f"heroes.toml: {name}"
        lists = {"build", "skills"}
        fields = {key: field for key, field in HERO_FIELDS.items() if key not in lists}
        scalars = _table(entry, where, lists)
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
    fields = {key: field for key, field in SKILL_FIELDS.items() if key != "effects"}
    for s, entry in enumerate(skills):
        path = f"{where}.skills[{s}]"
        scalars = _table(entry, path, {"effects"})
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
        values = read(entry, EFFECT_FIELDS, where)
        values["kind"] += 1  # choices leave "none" out
        name = rec.EFFECT_NAMES[values["kind"]]
        if name in timed and values["duration"] <= 0:
            raise ValueError(f"{where}.duration: must be above 0 for {name!r}, got 0")
        for key, value in values.items():
            skill["effects"][e][key] = _ticks(value, dt) if key == "duration" else value
    skill["num_effects"] = len(effects)


def compile_map(row: Any, data: dict[str, Any], where: str, num_items: int) -> rec.GameShape:
    """Fill in a map and return the sizes of its games."""
    lists = {"relics", "brushes", "lanes", "structures"}
    team_size = read_value(
        data.pop("team_size", None), Field(kind="integer", low=1, high=5), f"{where}: team_size"
    )
    fields = {key: field for key, field in MAP_FIELDS.items() if key not in lists}
    values = read({k: v for k, v in data.items() if k not in lists}, fields, where)
    for key, value in values.items():
        row[key] = value
    lanes = _entries(data, "lanes", where)
    _compile_lanes(row, lanes, where)
    structures = _entries(data, "structures", where)
    _compile_structures(row, structures, len(lanes), where)
    brushes = _entries(data, "brushes", where)
    if len(brushes) > MAX_BRUSHES:
        raise ValueError(f"{where}: brushes: at most {MAX_BRUSHES}, got {len(brushes)}")
    for i, entry in enumerate(brushes):
        for key, value in read(entry, BRUSH_FIELDS, f"{where}: brushes[{i}]").items():
            row["brushes"][i][key] = value
    row["num_brushes"] = len(brushes)
    relics = _entries(data, "relics", where)
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
        if not isinstance(points, list) or not 2 <= len(points) <= MAX_WAYPOINTS:
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
        values = read(entry, STRUCTURE_FIELDS, path)
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
