"""Follow creeps, projectiles and zones through the record's reused slots: one track a life."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from simrl_envs.moba.columns import column, runs, spans
from simrl_envs.moba.frames import Playback

JUMP: Final = 6.0
"""A creep that moves further than this in one decision is another one [m]."""


def creep_tracks(playback: Playback, grain: int) -> list[dict[str, Any]]:
    """Return each creep's life: kind, team, first frame, and columns of place and hit points."""
    shape = playback.tables.shape
    tracks = []
    for slot in range(shape.creep_start, shape.structure_start):
        units = playback.games["units"][:, slot]
        jumped = np.hypot(_change(units["x"]), _change(units["y"])) > JUMP
        other = (_change(units["kind"]) != 0) | (_change(units["team"]) != 0)
        for first, end in spans(units["alive"] != 0, jumped | other):
            life = units[first:end]
            hunted = np.where(life["target"] < shape.num_heroes, life["target"], -1)
            tracks.append(
                {
                    "unit": slot,
                    "kind": int(life["kind"][0]),
                    "team": int(life["team"][0]),
                    "first": first,
                    "count": end - first,
                    "max": round(float(life["max_hp"].max())),
                    "x": column(life["x"], grain),
                    "y": column(life["y"], grain),
                    "hp": column(life["hp"]),
                    "seen": runs(life["visible"]),
                    "hunts": runs(hunted),
                }
            )
    return tracks


def shot_tracks(playback: Playback, grain: int) -> list[dict[str, Any]]:
    """Return each projectile's flight: team, skill (-1 basic attack), first frame, places."""
    shots = playback.games["projectiles"]
    half = shots.shape[1] // 2
    decision = int(playback.tables.record[0]["decision_ticks"])
    tracks = []
    for slot in range(shots.shape[1]):
        mine = shots[:, slot]
        step = np.hypot(_change(mine["x"]), _change(mine["y"]))
        other = step > 1.5 * decision * mine["speed"] + 1.0
        for name in ("source", "skill", "target", "until"):
            other |= _change(mine[name]) != 0
        for first, end in spans(mine["alive"] != 0, other):
            flight = mine[first:end]
            tracks.append(
                {
                    "team": slot // half,
                    "skill": int(flight["skill"][0]),
                    "source": int(flight["source"][0]),
                    "first": first,
                    "count": end - first,
                    "vx": round(float(flight["vx"][0]) * decision, 2),
                    "vy": round(float(flight["vy"][0]) * decision, 2),
                    "x": column(flight["x"], grain),
                    "y": column(flight["y"], grain),
                }
            )
    return tracks


def zone_tracks(playback: Playback, grain: int) -> list[dict[str, Any]]:
    """Return each area effect: team, radius, first frame, places, and the wait for its pulse."""
    games = playback.games
    zones = games["zones"]
    half = zones.shape[1] // 2
    dt = float(playback.tables.record[0]["dt"])
    tracks = []
    for slot in range(zones.shape[1]):
        mine = zones[:, slot]
        other = np.zeros(len(mine), bool)
        for name in ("source", "skill", "until", "radius"):
            other |= _change(mine[name]) != 0
        for first, end in spans(mine["alive"] != 0, other):
            life = mine[first:end]
            wait = np.maximum(0, life["next"] - games["tick"][first:end]) * dt
            tracks.append(
                {
                    "team": slot // half,
                    "skill": int(life["skill"][0]),
                    "source": int(life["source"][0]),
                    "radius": round(float(life["radius"][0]), 2),
                    "first": first,
                    "count": end - first,
                    "x": column(life["x"], grain),
                    "y": column(life["y"], grain),
                    "wait": column(wait, 100),
                }
            )
    return tracks


def _change(values: np.ndarray) -> np.ndarray:
    """Return the difference to the frame before, 0 at the first."""
    wide = values.astype(np.float64)
    return np.diff(wide, prepend=wide[:1])
