"""A trotting body of a small quadruped in random but realistic states."""

from types import SimpleNamespace

import numpy as np
import pytest

from simrl_controllers.legged.srbd import SrbdState

HIPS = np.array(
    [[0.19, 0.14, -0.3], [0.19, -0.14, -0.3], [-0.19, 0.14, -0.3], [-0.19, -0.14, -0.3]]
)


def trot(count, seed, steps=10, dt=0.03):
    rng = np.random.default_rng(seed)
    state = SrbdState(
        rng.normal(size=(count, 3)) * [0.08, 0.08, 1.5],
        rng.normal(size=(count, 3)) * 0.03 + [0.0, 0.0, 0.3],
        rng.normal(size=(count, 3)) * 0.4,
        rng.normal(size=(count, 3)) * 0.2 + [0.5, 0.0, 0.0],
    )
    ahead = dt * np.arange(1, steps + 1)
    reference = np.zeros((count, steps, 12))
    reference[:, :, 2] = state.rpy[:, None, 2] + 0.3 * ahead
    reference[:, :, 3] = state.position[:, None, 0] + 0.5 * ahead
    reference[:, :, 4] = state.position[:, None, 1]
    reference[:, :, 5] = 0.3
    reference[:, :, 8], reference[:, :, 9] = 0.3, 0.5
    feet = HIPS + rng.normal(size=(count, steps, 4, 3)) * [0.05, 0.03, 0.01]
    first = (rng.integers(0, 12, count)[:, None] + np.arange(steps)) % 12 < 6
    contact = np.stack([first, ~first, ~first, first], axis=2)
    return SimpleNamespace(state=state, reference=reference, feet=feet, contact=contact)


@pytest.fixture
def trotting():
    return trot
