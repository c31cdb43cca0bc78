"""Levels: patches of ground, each rougher than the one before, and robots that climb them.

The curriculum is that of Rudin et al. 2022, "Learning to Walk in Minutes Using Massively Parallel
Deep Reinforcement Learning".  Each robot has a level of its own, kept in its memory over the ends
of episodes: all levels are played side by side, and each robot learns where it can just walk.
Since commands change under way, a robot's way is counted along its commands, not from its start.
"""

from __future__ import annotations

import numpy as np

from simrl_envs.robot.rows import View
from simrl_envs.robot.streams import Draw
from simrl_envs.robot.terms.registry import carry, measure
from simrl_envs.robot.turns import in_heading, lengths

UP = 0.8
"""Share of the commanded way from which on a robot that has not fallen goes up a level."""
DOWN = 0.5
"""Share of it below which a robot goes down a level."""
LEAST = 1.0
"""Commanded way from which on an episode is hard enough to go up [m]."""


@carry("climbing")
def climbing(
    old: View | None,
    view: View,
    draw: Draw,
    *,
    levels: int,
    first: int | None,
    climb: bool,
    seconds: float,
) -> None:
    """Give new episodes their level.

    Without `climb`, and after a reset, that is `first`; where that is None it is drawn.  `seconds`
    is the length of a whole episode: what a fall leaves of it counts as commanded and not walked.
    """
    drawn = np.floor(levels * draw.uniform("level", 1)[:, 0])
    level = view.memory["level"][:, 0]
    if old is None or not climb:
        level[:] = drawn if first is None else first
        return
    left = np.maximum(seconds - old.steps * old.step_seconds, 0.0)
    fell = left > 0.5 * old.step_seconds
    asked = old.memory["way"][:, 0] + left * lengths(old.command[:, :2])
    level[:] = next_level(
        old.memory["level"][:, 0], asked, old.memory["way"][:, 1], fell, levels, drawn
    )


def next_level(
    level: np.ndarray,
    asked: np.ndarray,
    covered: np.ndarray,
    fell: np.ndarray,
    levels: int,
    drawn: np.ndarray,
) -> np.ndarray:
    """Return the levels `[M]` that follow episodes by the way asked for and covered [m].

    drawn: where a robot goes that has mastered the last level.
    """
    up = ~fell & (asked >= LEAST) & (covered >= UP * asked)
    down = covered < DOWN * asked
    after = np.maximum(level + up - 1.0 * down, 0.0)
    return np.where(after >= levels, drawn, after)


def add_way(view: View, step_seconds: float) -> None:
    """Add a step to the way that was commanded, and that was covered along it, where it is kept."""
    way = view.memory["way"]
    if not way.shape[1]:
        return
    velocity, command = in_heading(view.qpos[:, 3:7], view.qvel[:, :3]), view.command
    speed = lengths(command[:, :2])
    along = velocity[:, 0] * command[:, 0] + velocity[:, 1] * command[:, 1]
    way[:, 0] += step_seconds * speed
    way[:, 1] += step_seconds * along / np.maximum(speed, 1e-9)


def command_share(view: View, levels: int, first: float) -> np.ndarray | float:
    """Return the share of the commands' ranges that is drawn from `[M, 1]`: `first` to 1."""
    if not levels:
        return 1.0
    return first + (1.0 - first) * view.memory["level"] / (levels - 1)


@measure("level")
def level(view: View) -> np.ndarray:
    """Measure the level of the ground on which the episode is, from 0."""
    return view.memory["level"][:, 0]
