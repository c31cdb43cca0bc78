"""A pushed robot that stands: its states, 500 a second."""

import numpy as np
import pytest
import torch

pytest.importorskip("mujoco.batch")

from simrl.core.plugins import make_env, make_scripted
from simrl_controllers.legged.robot import legged_robot

OPTIONS = {
    "control": "torque",
    "control_step": 0.002,
    "physics_step": 0.002,
    "push": (3.0, 8.0),
    "push_interval": 0.5,
}


@pytest.fixture(scope="session")
def spec():
    return make_env("quadruped-stand", 1, **OPTIONS).spec


@pytest.fixture(scope="session")
def robot(spec):
    return legged_robot(spec)


@pytest.fixture(scope="session")
def pushed():
    """States `[1500, 6, S]` of six robots that hold their pose against pushes for 3 s."""
    env = make_env("quadruped-stand", 6, **OPTIONS)
    policy = make_scripted("quadruped-stand", "pose", **OPTIONS)
    env.request({"state"})
    obs, rng, states = env.reset(0), torch.Generator(), []
    seat = torch.zeros(6, dtype=torch.int64)
    for _ in range(1500):
        states.append(obs["state"].numpy().copy())
        action = policy.act({"seat": seat, "state": obs["state"]}, {}, rng).action
        timestep = env.step(action[:, None])
        assert not timestep.done.any()
        obs = timestep.obs
    return np.array(states)
