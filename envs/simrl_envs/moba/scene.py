"""Read from game records what a person is shown; used by the pictures and the replay page.

The functions take one record or an array of them: they index by field and by the last axis only.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from simrl_envs.moba import records as rec
from simrl_envs.moba.tables import Tables

STATUSES: Final = (
    "stun",
    "slow",
    "silence",
    "burn",
    "shield",
    "haste",
    "might",
    "frenzy",
    "guard",
    "recall",
)
"""What may be on a hero; bit `i` of `status_bits` is `STATUSES[i]`."""


def status_bits(game: Any) -> np.ndarray:
    """Return what is on each hero as bits, `[..., heroes]` int64, in the order of `STATUSES`."""
    tick = np.asarray(game["tick"])[..., None]
    heroes = game["heroes"]
    units = game["units"][..., : heroes.shape[-1]]
    alive = units["alive"] != 0
    bits = np.zeros(alive.shape, np.int64)
    for i, name in enumerate(STATUSES):
        if name == "recall":
            holds = heroes["recall_at"] > 0
        else:
            owner = units if name in ("stun", "slow", "burn") else heroes
            holds = owner[f"{name}_until"] > tick
        if name == "shield":
            holds = holds & (heroes["shield"] > 0)
        bits |= (holds & alive).astype(np.int64) << i
    return bits


def seconds_left(game: Any, ready: np.ndarray, dt: float) -> np.ndarray:
    """Return the seconds until the ticks `ready` `[..., heroes]`, 0 where they have passed."""
    return np.maximum(0, ready - np.asarray(game["tick"])[..., None]) * dt


def team_totals(game: Any, field: str) -> np.ndarray:
    """Return the sum of a hero counter for both teams, `[..., 2]`."""
    values = game["heroes"][field]
    half = values.shape[-1] // 2
    return np.stack([values[..., :half].sum(-1), values[..., half:].sum(-1)], -1)


def sight_radii(tables: Tables) -> list[float]:
    """Return how far each kind of unit sees [m]."""
    return [float(value) for value in tables.record[0]["kinds"]["sight"]]


def seen_by(units: Any, team: int | None) -> np.ndarray:
    """Return which units are alive and seen by a team (its own always), `[..., units]` bool."""
    alive = units["alive"] != 0
    if team is None:
        return alive
    return alive & ((units["team"] == team) | ((units["visible"] >> team) & 1 != 0))


def point_seen(units: Any, sight: list[float], x: float, y: float, team: int) -> bool:
    """Return whether a point of the field lies within a team's sight, brush left aside."""
    own = units[(units["alive"] != 0) & (units["team"] == team)]
    reach = np.asarray(sight)[own["kind"]]
    return bool(np.any((own["x"] - x) ** 2 + (own["y"] - y) ** 2 <= reach**2))


def initials(names: tuple[str, ...]) -> list[str]:
    """Return a short label for each name: two letters, three where two would clash."""
    short = [name[:2].title() for name in names]
    return [
        name[:3].title() if short.count(label) > 1 else label
        for name, label in zip(names, short, strict=True)
    ]


def display_name(name: str) -> str:
    """Return a data name as people write it: `twin_shot` becomes `Twin shot`."""
    text = name.replace("_", " ").replace("-", " ")
    return text[:1].upper() + text[1:]


def clock(seconds: float) -> str:
    """Return seconds as `m:ss`."""
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def unit_name(game: Any, tables: Tables, unit: int) -> str:
    """Return a unit's name for people: its hero's name, or side and kind."""
    if unit < len(game["heroes"]):
        return display_name(tables.heroes[int(game["heroes"][unit]["hero"])])
    kind = int(game["units"][unit]["kind"])
    return f"{rec.KIND_NAMES[kind]} creep" if kind < rec.KIND_TOWER else rec.KIND_NAMES[kind]
