"""Play a replay again with the rules, and draw it.

A replay is the start and the actions; the rules are bit-exact, so playing it again gives the very
game that was recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from simrl.core.plugins import make_config
from simrl.core.replay import Replay
from simrl.core.timestep import TimeStep
from simrl_envs.moba.config import MobaConfig
from simrl_envs.moba.env import MobaEnv
from simrl_envs.moba.render import render
from simrl_envs.moba.tables import Tables


@dataclass(frozen=True)
class Playback:
    """Hold a replayed game at every decision."""

    tables: Tables
    """What it was played with."""
    games: np.ndarray
    """Game records `[T + 1]`: the start, then after each decision."""
    actions: np.ndarray
    """Orders `[T, A, 5]`: `actions[t]` led from `games[t]` to `games[t + 1]`."""
    seconds: float
    """Game time between two records [s]."""


def play_back(replay: Replay) -> Playback:
    """Play a replay again, decision by decision.

    The environment itself plays it: what it does to an action before the rules see it, and what it
    refuses, is the same as when the replay was recorded.

    Raises:
        ValueError: If the replay does not fit the game, an action is not legal, or the game ends
            otherwise than it was recorded.
    """
    options = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in replay.config.items()
    }
    env = MobaEnv(make_config(MobaConfig, options, replay.env), 1)
    env.request({"state"})
    env.restore(torch.from_numpy(np.frombuffer(replay.snapshot, np.uint8)[None].copy()))
    # Bytes, since copying records leaves out the padding between fields.
    history = np.zeros((len(replay.actions) + 1, env.spec.state_size), np.uint8)
    history[0] = env.games.view(np.uint8)
    actions = torch.from_numpy(np.ascontiguousarray(replay.actions, np.int64))
    for t, action in enumerate(actions):
        try:
            timestep = env.step(action[None])
        except ValueError as error:
            raise ValueError(
                f"decision {t} of the replay is not legal, so it was recorded with other rules "
                f"or data: {error}"
            ) from error
        history[t + 1] = env.games.view(np.uint8)
        if timestep.done[0]:  # the environment has begun the next episode already
            history[t + 1] = timestep.final_obs["state"][0].numpy()
            _check_ending(replay, timestep, t + 1)
            history, actions = history[: t + 2], actions[: t + 1]
            break
    games = history.view(env.games.dtype)[:, 0]
    return Playback(env.tables, games, actions.numpy(), env.spec.step_seconds)


def _check_ending(replay: Replay, timestep: TimeStep, steps: int) -> None:
    """Raise ValueError if the game ended at another time or with other figures than recorded."""
    different = [] if steps == len(replay.actions) else ["length"]
    for name, value in timestep.metrics.items():
        recorded = replay.metrics.get(name)
        if recorded is not None and not np.allclose(value[0].numpy(), recorded, rtol=1e-5):
            different.append(name)
    if different:
        raise ValueError(
            "played again, the game ends otherwise than recorded, so it was recorded with other "
            f"rules or data; different are {', '.join(different)}"
        )


WHOLE_SIZE: Final = (960, 400)
FOLLOW_SIZE: Final = (560, 380)
"""Size of pictures of the whole field, and of those that follow an agent [pixels]."""


def frames(
    replay: Replay, size: tuple[int, int] | None = None, *, team: int | None = None
) -> Iterator[np.ndarray]:
    """Draw a replay, one `(height, width, 3)` uint8 picture a decision.

    Where the replay names a seat, the picture follows and marks that agent's hero.

    Args:
        replay: What to draw.
        size: Width and height [pixels]; default: wide for the whole field, small to follow.
        team: Draw only what this team sees; None draws everything.

    Raises:
        ValueError: If the replay does not fit the game.
    """
    playback = play_back(replay)
    seat = replay.seat if replay.seat >= 0 else None
    size = size or (WHOLE_SIZE if seat is None else FOLLOW_SIZE)
    for game in playback.games:
        yield render(game, playback.tables, size, team=team, seat=seat)
