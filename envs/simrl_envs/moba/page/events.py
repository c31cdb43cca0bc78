"""Find what is worth jumping to in a game: deaths, fallen towers, the end."""

from __future__ import annotations

from typing import Any

import numpy as np

from simrl_envs.moba import palette
from simrl_envs.moba import records as rec
from simrl_envs.moba.frames import Playback
from simrl_envs.moba.scene import display_name

ENDINGS = {
    rec.RUNNING: "The recording ends",
    rec.TERMINATED: "The game ends",
    rec.TRUNCATED: "The time is up",
}


def find_events(playback: Playback) -> list[dict[str, Any]]:
    """Return the events in order of time.

    Each has `frame`, `kind` (death, tower, crystal, end), `team` (whom it is good for, -1 nobody)
    and `text`.
    """
    events = [*_deaths(playback), *_falls(playback)]
    games = playback.games
    winner = int(games["winner"][-1])
    text = ENDINGS[int(games["done"][-1])]
    if winner >= 0:
        text = f"{palette.TEAM_NAMES[winner]} wins"
    events.append({"frame": len(games) - 1, "kind": "end", "team": winner, "text": text})
    return sorted(events, key=lambda event: event["frame"])


def _deaths(playback: Playback) -> list[dict[str, Any]]:
    heroes = playback.games["heroes"]
    num_heroes = heroes.shape[1]
    size = num_heroes // 2
    names = [
        display_name(playback.tables.heroes[int(heroes["hero"][0, hero])])
        for hero in range(num_heroes)
    ]
    died = np.diff(heroes["deaths"], axis=0) > 0
    killed = np.diff(heroes["kills"], axis=0) > 0
    events = []
    for t, victim in np.argwhere(died):
        team = 1 - victim // size
        killers = [k for k in range(team * size, team * size + size) if killed[t, k]]
        text = f"{names[killers[0]]} kills {names[victim]}" if killers else f"{names[victim]} dies"
        events.append({"frame": int(t) + 1, "kind": "death", "team": int(team), "text": text})
    return events


def _falls(playback: Playback) -> list[dict[str, Any]]:
    units = playback.games["units"]
    fell = (units["alive"][:-1] != 0) & (units["alive"][1:] == 0)
    fell &= units["kind"][0] >= rec.KIND_TOWER
    events = []
    for t, unit in np.argwhere(fell):
        team = int(units["team"][0, unit])
        kind = rec.KIND_NAMES[int(units["kind"][0, unit])]
        text = f"{palette.TEAM_NAMES[team]}'s {kind} falls"
        events.append({"frame": int(t) + 1, "kind": kind, "team": 1 - team, "text": text})
    return events
