"""The mobile manipulator's tasks, and the controllers' own model of them."""

import numpy as np
import pytest

from simrl.core.plugins import make_env

pytest.importorskip("mujoco")


def rows_of(env, seed=0):
    """Return the states `[n, S]` with which the rows of an environment begin."""
    env.request(["state"])
    env.reset(seed)
    return env.snapshot()


@pytest.fixture(scope="session")
def pick_env():
    return make_env("amr-pick", 4, threads=1)


@pytest.fixture(scope="session")
def robot(pick_env):
    from simrl_controllers.mobile.robot import MobileRobot

    return MobileRobot(pick_env.spec)


@pytest.fixture
def states(pick_env):
    return rows_of(pick_env).numpy()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def spread(robot, rng):
    """Move base and arm of configurations `[n, nq]` to random places within their limits."""

    def moved(qpos):
        facts, result = robot.facts, qpos.copy()
        count = len(qpos)
        result[:, robot.qpos[:3]] = rng.uniform(-1.0, 1.0, (count, 3))
        result[:, robot.qpos[3:]] = rng.uniform(facts.low, facts.high, (count, facts.num_arm))
        return result

    return moved
