"""Put the agents' actions into words."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from simrl_envs.moba import records as rec
from simrl_envs.moba.frames import Playback
from simrl_envs.moba.rules import target_of_slot
from simrl_envs.moba.scene import display_name, unit_name

ARROWS: Final = ("→", "↗", "↑", "↖", "←", "↙", "↓", "↘")


def order_texts(playback: Playback) -> tuple[list[str], np.ndarray]:
    """Return the different orders as words, and which was given `[T, A]`."""
    count, num_agents = playback.actions.shape[:2]
    words: dict[str, int] = {}
    chosen = np.zeros((count, num_agents), np.int64)
    for t in range(count):
        game = playback.games[t]
        for agent in range(num_agents):
            text = order_text(playback, game, agent, playback.actions[t, agent].tolist())
            chosen[t, agent] = words.setdefault(text, len(words))
    return list(words), chosen


def order_text(playback: Playback, game: Any, agent: int, action: list[int]) -> str:
    """Return one agent's action in words: `Move ↗`, `Attack melee creep`, `Frost nova → Orrin`."""
    button = action[rec.HEAD_BUTTON]
    if button == rec.BUTTON_NONE:
        return "Wait" if game["units"][agent]["alive"] else "Dead"
    if button == rec.BUTTON_MOVE:
        return f"Move {_arrow(playback, agent, action[rec.HEAD_MOVE])}"
    if button == rec.BUTTON_ATTACK:
        return f"Attack {_target(playback, game, agent, action)}"
    if button == rec.BUTTON_RECALL:
        return "Recall"
    if button == rec.BUTTON_BUY:
        items = playback.tables.items
        item = action[rec.HEAD_TARGET]
        return f"Buy {display_name(items[item]) if item < len(items) else 'nothing'}"
    return _skill_text(playback, game, agent, action)


def _skill_text(playback: Playback, game: Any, agent: int, action: list[int]) -> str:
    skill = action[rec.HEAD_BUTTON] - rec.BUTTON_SKILL
    hero = int(game["heroes"][agent]["hero"])
    name = display_name(playback.tables.skills[hero][skill])
    aim = int(playback.tables.record[0]["heroes"][hero]["skills"][skill]["aim"])
    if aim == rec.AIM_TARGET:
        return f"{name} at {_target(playback, game, agent, action)}"
    if aim in (rec.AIM_DIRECTION, rec.AIM_POINT):
        return f"{name} {_arrow(playback, agent, action[rec.HEAD_DIRECTION])}"
    return name


def _arrow(playback: Playback, agent: int, direction: int) -> str:
    """Return a direction of the agent's own frame as the field is seen: red's is turned."""
    is_red = agent >= playback.tables.shape.team_size
    turned = direction + (rec.NUM_DIRECTIONS // 2 if is_red else 0)
    return ARROWS[round(turned * len(ARROWS) / rec.NUM_DIRECTIONS) % len(ARROWS)]


def _target(playback: Playback, game: Any, agent: int, action: list[int]) -> str:
    unit = int(target_of_slot(game, agent, action[rec.HEAD_TARGET]))
    if unit == agent:
        return "self"
    return unit_name(game, playback.tables, unit) if unit >= 0 else "nothing"
