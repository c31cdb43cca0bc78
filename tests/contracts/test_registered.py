"""Run the public checks over everything that is registered."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from simrl.core.checks import (
    check_dynamics,
    check_env,
    check_policy,
    check_turn_rules,
    random_action,
)
from simrl.core.dynamics import TurnDynamics
from simrl.core.plugins import env_names, env_plugin, make_config, make_env, make_scripted
from simrl.core.replay import Replay
from simrl.core.spec import EnvSpec

SHORT = {
    "cart-pole": {"max_steps": 20},
    "pendulum": {"max_steps": 20},
    "moba-1v1": {"max_minutes": 0.15},
}
"""Options that make episodes end within the steps that the checks play."""
SHORT |= {name: {"seconds": 0.4} for name in env_names() if name.startswith("gymnasium/")}
SHORT |= {
    name: {"seconds": 1.0}
    for name in env_names()
    if name.startswith(("amr-", "arm-", "cartpole-", "quadr"))
}
STEPS = 110

SCRIPTED = [(name, policy) for name in env_names() for policy in env_plugin(name).policies]
WITH_FRAMES = [
    # The robots' frames need OpenGL.
    pytest.param(name, marks=[pytest.mark.mujoco] * frames.__module__.endswith("robot.plugin"))
    for name in env_names()
    if (frames := env_plugin(name).frames) is not None
]
WITH_DYNAMICS = [name for name in env_names() if env_plugin(name).dynamics is not None]


def _make(name, num_envs):
    return make_env(name, num_envs, **SHORT.get(name, {}))


@pytest.mark.parametrize("name", env_names())
def test_environment_keeps_its_contract(name):
    check_env(lambda num_envs: _make(name, num_envs), num_steps=STEPS)


@pytest.mark.parametrize("name", env_names())
def test_spec_is_registered_under_its_name(name):
    spec = _make(name, 1).spec
    assert isinstance(spec, EnvSpec)
    assert spec.id == name


@pytest.mark.parametrize(("name", "policy"), SCRIPTED)
def test_scripted_policy_keeps_its_contract(name, policy):
    check_policy(make_scripted(name, policy, **SHORT.get(name, {})), _make(name, 4))


@pytest.mark.parametrize("name", WITH_DYNAMICS)
def test_dynamics_agree_with_the_environment(name):
    config = make_config(env_plugin(name).config, SHORT.get(name, {}), name)
    dynamics = env_plugin(name).dynamics(config)
    check_dynamics(dynamics, _make(name, 4))
    if isinstance(dynamics, TurnDynamics) and dynamics.turn_rules is not None:
        check_turn_rules(dynamics, _make(name, 4), num_steps=STEPS)


@pytest.mark.parametrize("name", WITH_FRAMES)
def test_frames_draw_the_start_and_every_step(name):
    env = _make(name, 1)
    obs, rng = env.reset(0), torch.Generator().manual_seed(0)
    snapshot = env.snapshot()[0].numpy().tobytes()
    first, actions = env.render(0), []
    for _ in range(3):
        actions.append(random_action(env.spec, obs, rng)[0].numpy())
        obs = env.step(torch.from_numpy(actions[-1])[None]).obs
    config = make_config(env_plugin(name).config, SHORT.get(name, {}), name)
    replay = Replay(name, asdict(config), snapshot, np.stack(actions))
    frames = list(env_plugin(name).frames(replay))
    assert len(frames) == 4
    assert all(image.shape == frames[0].shape and image.dtype == np.uint8 for image in frames)
    assert frames[0].shape[-1] == 3 and first.ndim == 3
