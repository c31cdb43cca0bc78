"""Run the public checks over everything that is registered."""

import pytest

from simrl.core.checks import check_dynamics, check_env, check_policy
from simrl.core.plugins import env_names, env_plugin, make_config, make_env, make_scripted
from simrl.core.spec import EnvSpec

SHORT = {"cart-pole": {"max_steps": 20}, "moba-1v1": {"max_minutes": 0.15}}
"""Options that make episodes end within the steps that the checks play."""
STEPS = 110

SCRIPTED = [(name, policy) for name in env_names() for policy in env_plugin(name).policies]
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
    check_dynamics(env_plugin(name).dynamics(config), _make(name, 4))
