"""A MOBA for research: one kernel for 1v1, 3v3 and 5v5, thousands of games side by side.

- `records.py`, `tables.py`, `data/`, `rules/`: the game itself; knows nothing of agents or torch.
- `layout.py`, `observe.py`, `mask.py`, `rewards.py`: what an agent sees, may do and is paid for.
- `env.py`, `dynamics.py`: the game as a `VecEnv`, and as a `Dynamics` for planners.
- `bots/`: the scripted ladder.  `render.py`, `frames.py`, `page/`: pictures and replays.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from simrl.core.controls import Controls
from simrl.core.plugins import EnvPlugin
from simrl.core.policy import Policy
from simrl.core.replay import Replay
from simrl_envs.moba.bots import LEVELS, make_bot
from simrl_envs.moba.config import MobaConfig, config_tables
from simrl_envs.moba.dynamics import MobaDynamics
from simrl_envs.moba.env import MobaEnv
from simrl_envs.moba.tables import load_tables

__all__ = ["MobaConfig", "MobaDynamics", "MobaEnv", "moba_1v1"]


def _listing() -> Mapping[str, list[str]]:
    """Name the heroes, with their roles, and the items."""
    tables = load_tables()
    pairs = zip(tables.heroes, tables.roles, strict=True)
    return {"heroes": [f"{name} ({role})" for name, role in pairs], "items": list(tables.items)}


def _replay_page(replay: Replay) -> str:
    """Build the replay page."""
    from simrl_envs.moba.page import replay_page  # only loaded where replays are watched

    return replay_page(replay)


def _frames(replay: Replay) -> Iterator[np.ndarray]:
    """Draw a replay."""
    from simrl_envs.moba.frames import frames  # as above

    return frames(replay)


def _controls(config: MobaConfig) -> Controls:
    """Build the controls of one hero."""
    from simrl_envs.moba.controls import MobaControls  # as above

    return MobaControls(config)


def _bot(level: str, config: MobaConfig) -> Policy:
    """Build one level of the scripted ladder for the map of a config."""
    return make_bot(config_tables(config), level)


_POLICIES: Mapping[str, Callable[[Any], Policy]] = {level: partial(_bot, level) for level in LEVELS}

moba_1v1 = EnvPlugin(
    summary="A MOBA on one lane, one hero a side: creeps, towers, items, fog, six heroes.",
    config=MobaConfig,
    make=MobaEnv,
    dynamics=MobaDynamics,
    policies=_POLICIES,
    replay_page=_replay_page,
    frames=_frames,
    listing=_listing,
    controls=_controls,
)
