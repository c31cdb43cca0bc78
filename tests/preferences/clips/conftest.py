"""A clip with round numbers, and a library to put it in."""

import numpy as np
import pytest

from simrl.preferences.clips import Clip, ClipLibrary


def counted_clip(**changes):
    """A clip of `counting` with three steps of one agent; every number is a small integer."""
    steps = changes.pop("steps", 3)
    content = {
        "env": "counting",
        "env_options": {},
        "seat": 0,
        "policies": ("random",),
        "seed": 7,
        "config_hash": "0" * 16,
        "step_seconds": 0.0,
        "episode": "play-7/0/0",
        "snapshot": np.arange(20, dtype=np.uint8),
        "lead": np.zeros((2, 1, 1), np.int64),
        "obs": np.arange(steps, dtype=np.float32)[:, None],
        "action": np.ones((steps, 1, 1), np.int64),
        "reward": np.full((steps, 1), 2.0, np.float32),
        "reward_terms": np.zeros((steps, 1, 0), np.float32),
        "terminated": np.arange(steps) == steps - 1,
        "truncated": np.zeros(steps, bool),
        "metrics": {"return": 6.0},
    }
    return Clip(**{**content, **changes})


@pytest.fixture
def make_clip():
    return counted_clip


@pytest.fixture
def library(tmp_path):
    return ClipLibrary(tmp_path / "library")
