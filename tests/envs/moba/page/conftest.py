"""Short replays to look at."""

import dataclasses

import numpy as np
import pytest
import torch

from simrl.core.replay import Replay
from simrl_envs.moba.config import MobaConfig
from simrl_envs.moba.env import MobaEnv
from simrl_envs.moba.mask import random_legal


@pytest.fixture(scope="session")
def record():
    """A function that plays random legal actions: `record(steps, seed, **options)`."""
    return _record


def _record(steps, seed=0, policies=(), extras=None, **options):
    """Return the replay and the game records that were seen live.

    The record after a step that ended the episode belongs to the next one: it is not kept.
    """
    config = MobaConfig(**options)
    env = MobaEnv(config, 1)
    obs = env.reset(seed)
    agents, targets = env.spec.num_agents, env.tables.shape.num_targets
    start = env.snapshot()[0].numpy().tobytes()
    live, actions = [start], []
    for t in range(steps):
        action = np.zeros((agents, 5), np.int64)
        random_legal(obs["action_mask"][0].numpy(), targets, 1000 * seed + t, action)
        step = env.step(torch.from_numpy(action)[None])
        obs = step.obs
        actions.append(action)
        if step.done[0]:
            break
        live.append(env.snapshot()[0].numpy().tobytes())
    replay = Replay(
        env="moba-1v1",
        config=dataclasses.asdict(config),
        snapshot=start,
        actions=np.stack(actions),
        policies=policies,
        extras=extras or {},
    )
    return replay, np.frombuffer(b"".join(live), env.games.dtype)
