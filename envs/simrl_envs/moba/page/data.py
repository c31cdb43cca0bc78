"""What the replay page is told: the game at every decision, in short JSON."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from simrl.core.replay import Replay
from simrl_envs.moba import palette
from simrl_envs.moba import records as rec
from simrl_envs.moba.columns import column, runs
from simrl_envs.moba.frames import Playback
from simrl_envs.moba.page.events import find_events
from simrl_envs.moba.page.orders import order_texts
from simrl_envs.moba.page.tracks import creep_tracks, shot_tracks, zone_tracks
from simrl_envs.moba.rewards import TERMS
from simrl_envs.moba.scene import (
    STATUSES,
    display_name,
    initials,
    seconds_left,
    sight_radii,
    status_bits,
)

GRAIN: Final = 20
"""Positions are told in 1/20 m."""
TENTHS: Final = 10
VALUE_GRAIN: Final = 1000
PROB_GRAIN: Final = 100

_UNIT_COLUMNS: Final = {"x": GRAIN, "y": GRAIN, "hp": 1, "max_hp": 1, "alive": 1, "visible": 1}
_HERO_COLUMNS: Final = {
    "mana": 1,
    "max_mana": 1,
    "level": 1,
    "gold": 1,
    "gold_earned": 1,
    "xp_earned": 1,
    "damage_to_heroes": 1,
    "kills": 1,
    "deaths": 1,
    "assists": 1,
    "last_hits": 1,
    "skills_cast": 1,
}


def page_data(replay: Replay, playback: Playback) -> dict[str, Any]:
    """Return everything that the page shows, ready for `json.dumps`.

    Args:
        replay: Names, figures of the agents and the result.
        playback: The same episode, played back.
    """
    games, tables = playback.games, playback.tables
    words, orders = order_texts(playback)
    return {
        "env": replay.env,
        "frames": len(games),
        "seconds": playback.seconds,
        "grain": GRAIN,
        "statuses": list(STATUSES),
        "buttons": list(rec.BUTTON_NAMES),
        "map": _map(playback),
        "colors": {
            "team": palette.TEAM,
            "teamDark": palette.TEAM_DARK,
            **{name.lower(): getattr(palette, name) for name in _COLORS},
            "status": palette.STATUS,
        },
        "items": [display_name(name) for name in tables.items],
        "words": words,
        "heroes": [
            _hero(replay, playback, hero) | {"orders": runs(orders[:, hero])}
            for hero in range(tables.shape.num_heroes)
        ],
        "structures": _structures(playback),
        "creeps": creep_tracks(playback, GRAIN),
        "shots": shot_tracks(playback, GRAIN),
        "zones": zone_tracks(playback, GRAIN),
        "relics": [
            runs(games["tick"] >= games["relic_ready"][:, k])
            for k in range(int(tables.record[0]["num_relics"]))
        ],
        "events": find_events(playback),
        "winner": int(games["winner"][-1]),
        "done": int(games["done"][-1]),
        "valueNames": _value_names(replay),
        "seat": replay.seat if 0 <= replay.seat < tables.shape.num_heroes else -1,
    }


_COLORS: Final = (
    *("GROUND", "GROUND_EDGE", "LANE", "BRUSH", "RELIC", "FOG", "PANEL", "TEXT", "MUTED"),
    *("HP", "HP_BACK", "MANA", "GOLD", "XP"),
)


def _map(playback: Playback) -> dict[str, Any]:
    table = playback.tables.record[0]
    brushes = table["brushes"][: table["num_brushes"]]
    names = ("x", "y", "half_width", "half_height")
    return {
        "name": playback.tables.map_name,
        "halfWidth": float(table["half_width"]),
        "halfHeight": float(table["half_height"]),
        "fountain": _rounded(table["fountain"]),
        "fountainRadius": float(table["fountain_radius"]),
        "relics": [_rounded(relic) for relic in table["relics"][: table["num_relics"]]],
        "brushes": [[round(float(brush[name]), 2) for name in names] for brush in brushes],
        "lanes": [
            [_rounded(p) for p in table["waypoints"][lane, : table["num_waypoints"][lane]]]
            for lane in range(int(table["num_lanes"]))
        ],
        "sight": sight_radii(playback.tables),
        "recall": float(table["recall"]) * float(table["dt"]),
    }


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 2) for value in values]


def _hero(replay: Replay, playback: Playback, hero: int) -> dict[str, Any]:
    games, tables = playback.games, playback.tables
    units, heroes = games["units"][:, hero], games["heroes"][:, hero]
    kind = int(heroes["hero"][0])
    dt = float(tables.record[0]["dt"])
    columns = {name: column(units[name], scale) for name, scale in _UNIT_COLUMNS.items()}
    columns |= {name: column(heroes[name], scale) for name, scale in _HERO_COLUMNS.items()}
    shield = np.where(heroes["shield_until"] > games["tick"], heroes["shield"], 0)
    columns["shield"] = column(shield)
    columns["status"] = column(status_bits(games)[:, hero])
    respawn = np.maximum(0, heroes["respawn_at"] - games["tick"]) * dt
    columns["respawn"] = column(np.where(units["alive"] != 0, 0, respawn), TENTHS)
    recall = np.where(heroes["recall_at"] > 0, heroes["recall_at"] - games["tick"], 0) * dt
    columns["recall"] = column(recall, TENTHS)
    cooldowns = seconds_left(games, heroes["cooldown_ready"], dt)
    return {
        "name": display_name(tables.heroes[kind]),
        "label": initials(tables.heroes)[kind],
        "role": tables.roles[kind],
        "skills": [display_name(name) for name in tables.skills[kind]],
        "team": int(units["team"][0]),
        "policy": replay.policies[hero] if hero < len(replay.policies) else "",
        "columns": columns,
        "cooldowns": [column(cooldowns[:, s], TENTHS) for s in range(rec.NUM_SKILLS)],
        "items": _items(heroes["items"]),
        "buttons": runs(playback.actions[:, hero, rec.HEAD_BUTTON]),
        "values": _figures(replay, "value", hero, VALUE_GRAIN),
        "probs": _figures(replay, "button_probs", hero, PROB_GRAIN),
    }


def _items(slots: np.ndarray) -> list[list[Any]]:
    """Return `[frame, [item, ...]]` at the start and at each change of `slots` `[T, slots]`."""
    changed = np.ones(len(slots), bool)
    changed[1:] = (slots[1:] != slots[:-1]).any(axis=1)
    return [[int(t), [int(item) - 1 for item in slots[t] if item]] for t in np.flatnonzero(changed)]


def _figures(replay: Replay, name: str, hero: int, grain: int) -> list[Any] | None:
    """Return one column for each figure that the agent gave, or None if it gave none.

    A missing figure (NaN) repeats the one before: a line is drawn through it.
    """
    values = replay.extras.get(name)
    if values is None or hero >= values.shape[1]:
        return None
    mine = np.asarray(values[:, hero], np.float64).reshape(len(values), -1)
    known = ~np.isnan(mine).all(axis=1)
    if not known.any():
        return None
    last = np.maximum.accumulate(np.where(known, np.arange(len(mine)), -1))
    mine = np.nan_to_num(mine[np.maximum(last, np.flatnonzero(known)[0])])
    return [column(mine[:, k], grain) for k in range(mine.shape[1])]


def _value_names(replay: Replay) -> list[str]:
    values = replay.extras.get("value")
    if values is None:
        return []
    count = int(np.prod(values.shape[2:], dtype=int))
    groups = list(dict.fromkeys(TERMS.values()))
    if count == 1:
        return ["value"]
    return groups if count == len(groups) else [f"value {k + 1}" for k in range(count)]


def _structures(playback: Playback) -> list[dict[str, Any]]:
    start = playback.tables.shape.structure_start
    units = playback.games["units"]
    found = []
    for unit in range(start, units.shape[1]):
        body = units[0, unit]
        found.append(
            {
                "unit": unit,
                "kind": int(body["kind"]),
                "team": int(body["team"]),
                "x": round(float(body["x"]), 2),
                "y": round(float(body["y"]), 2),
                "max": round(float(body["max_hp"])),
                "hp": column(np.where(units["alive"][:, unit] != 0, units["hp"][:, unit], 0)),
                "target": runs(units["target"][:, unit]),
            }
        )
    return found
