"""What the tests of the environment share."""

import numpy as np
import pytest
import torch

from simrl_envs.moba.mask import random_legal
from simrl_envs.moba.records import BUTTON_ATTACK, BUTTON_MOVE
from simrl_envs.moba.rules import refresh_views

TARGETS_START = 44  # of the mask: buttons 8, directions 16 + 16, distances 4 come before


@pytest.fixture
def lively():
    """Legal actions int64 [N, A, 5] for a mask, leaning towards walking forward and attacking."""

    def draw(mask, rng):
        flat = mask.numpy().reshape(-1, mask.shape[-1])
        width = (flat.shape[1] - TARGETS_START - 40) // 8
        actions = np.zeros((len(flat), 5), np.int64)
        random_legal(flat, width, np.int64(rng.integers(2**60)), actions)
        chance = rng.random(len(flat))
        walks = (chance < 0.4) & flat[:, BUTTON_MOVE]
        actions[walks] = [BUTTON_MOVE, 0, 0, 0, 0]
        start = TARGETS_START + BUTTON_ATTACK * width
        legal = flat[:, start : start + width]
        attacks = (chance < 0.3) & flat[:, BUTTON_ATTACK]
        actions[attacks] = [BUTTON_ATTACK, 0, 0, 0, 0]
        actions[attacks, 4] = (width - 1 - np.argmax(legal[:, ::-1], axis=1))[attacks]
        return torch.from_numpy(actions.reshape(*mask.shape[:2], 5))

    return draw


@pytest.fixture
def edited():
    """Observe anew after a test has written to an environment's game records."""

    def look(env):
        for row in range(env.num_envs):
            refresh_views(env.games[row], env.tables.record[0])
        return env.restore(env.snapshot())

    return look
