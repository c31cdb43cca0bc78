"""Guided by the optimum of a linear-quadratic task, one step of planning is enough."""

from dataclasses import replace

import pytest
import torch

from simrl.core import Guide
from simrl.core.plugins import controller_plugin, env_plugin, make_env
from simrl.rollout import evaluate
from simrl_controllers.sampling import CemConfig, MppiConfig, PredictiveConfig
from simrl_controllers.sampling.guided import guided_config
from simrl_envs.toy.rules.double_integrator import optimal_gain

PLUGIN = env_plugin("double-integrator")
CONFIG = PLUGIN.config()
GAIN, COST_TO_GO = (torch.from_numpy(x) for x in optimal_gain(CONFIG))
STATES = torch.tensor([[1.0, -0.5], [-0.3, 0.8]], dtype=torch.float64)


def position_and_velocity(state):
    return state[:, 16:32].contiguous().view(torch.float64)


def riccati(state):
    x = position_and_velocity(state)
    return -((x @ COST_TO_GO) * x).sum(-1)


def guide(policy="lqr", value=riccati):
    env = make_env("double-integrator", 1)
    return Guide("known", env.spec.dynamics(), PLUGIN.policies[policy](CONFIG), value, 1.0)


def rows():
    """Two snapshots at `STATES`."""
    env = make_env("double-integrator", 2)
    env.reset(0)
    state = env.snapshot()
    state[:, 16:32] = STATES.view(torch.uint8)
    return state


def build(name, config, led_by=None):
    spec = make_env("double-integrator", 1).spec
    plugin = controller_plugin(name)
    return plugin.guided(spec, config, led_by) if led_by else plugin.make(spec, config)


def act(policy):
    memory = policy.initial_state(2)
    return policy.act({"state": rows()}, memory, torch.Generator().manual_seed(0))


def test_the_optimal_policy_and_its_value_cost_what_the_riccati_equation_says():
    # Next to no noise: the best sample is the proposal, the rollout of the optimal policy.
    config = PredictiveConfig(horizon=1, samples=2, noise=(1e-7,), guide_plans=1)
    output = act(build("predictive-sampling", config, guide()))
    best = -(STATES @ GAIN.T)
    assert torch.allclose(output.action.double(), best, atol=1e-6)
    by_riccati = ((STATES @ COST_TO_GO) * STATES).sum(-1)
    assert torch.allclose(output.extras["cost"].double(), by_riccati, rtol=1e-6)
    longer = act(build("predictive-sampling", replace(config, horizon=7, knots=7), guide()))
    assert torch.allclose(longer.extras["cost"].double(), by_riccati, rtol=1e-5)
    assert torch.allclose(longer.action.double(), best, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "kind"), [("predictive-sampling", PredictiveConfig), ("cem", CemConfig)]
)
def test_one_step_and_the_value_find_the_optimal_action_by_themselves(name, kind):
    config = kind(horizon=1, samples=400, iterations=4, guide_plans=0)
    output = act(build(name, config, guide()))
    assert torch.allclose(output.action.double(), -(STATES @ GAIN.T), atol=0.06)


def test_a_short_horizon_needs_the_value():
    env = make_env("double-integrator", 20)
    optimum = evaluate(env, PLUGIN.policies["lqr"](CONFIG), games=20, seed=3).score().mean_return

    def over_optimum(name, config, led_by=None):
        policy = build(name, config, led_by)
        return evaluate(env, policy, games=20, seed=3).score().mean_return / optimum

    short = CemConfig(horizon=2, samples=128, iterations=4, min_noise=0.05)
    valued = replace(short, guide_plans=0)
    assert 1.0 - 1e-6 <= over_optimum("cem", valued, guide()) < 1.01
    assert over_optimum("cem", replace(short, guide_value=False, guide_plans=0), guide()) > 1.5
    assert over_optimum("cem", short) > 1.5
    # The policy alone, under a worthless value, is all that keeps this plan from resting.
    blind = replace(short, guide_value=False, guide_plans=4)
    assert over_optimum("cem", blind, guide()) > 1.5


def test_what_is_left_open_suits_the_guide():
    led_by = replace(guide(), gamma=0.97)
    assert guided_config(MppiConfig(), led_by) == MppiConfig(gamma=0.97, end_cost=0.0)
    assert guided_config(MppiConfig(guide_value=False), led_by).end_cost is None
    assert guided_config(MppiConfig(gamma=0.97, end_cost=3.0), led_by).end_cost == 3.0
    with pytest.raises(ValueError, match=r"known learned its values at gamma 0\.97, .* at 1\.0"):
        guided_config(MppiConfig(gamma=1.0), led_by)


def test_the_value_is_discounted_over_the_horizon():
    # From rest at the origin nothing costs: what is left is the value 8 after three steps, 8 / 2^3.
    env = make_env("double-integrator", 1)
    env.reset(0)
    state = env.snapshot()
    state[:, 16:32] = 0
    led_by = replace(guide(value=lambda rows: torch.full((len(rows),), 8.0)), gamma=0.5)
    config = PredictiveConfig(horizon=3, samples=2, noise=(1e-9,), guide_plans=0)
    policy = build("predictive-sampling", config, led_by)
    output = policy.act({"state": state}, policy.initial_state(1), torch.Generator().manual_seed(0))
    assert float(output.extras["cost"]) == pytest.approx(-1.0)
