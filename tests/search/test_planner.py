"""Plans for one agent: bytes and states, and control against known optima."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import solve_discrete_lyapunov
from torch import Tensor

from simrl.core import Dynamics, EnvSpec, Obs, PolicyOutput, PolicyState
from simrl.core.plugins import env_plugin, make_env, make_scripted
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.rollout import RandomPolicy, evaluate
from simrl.search.config import GumbelConfig, SearchConfig
from simrl.search.planner_evaluators import BoxEvaluator, ListEvaluator, RolloutValue
from simrl.search.planner_model import DynamicsModel
from simrl.search.planner_policy import PlannerPolicy
from simrl.search.sampled import SampledEvaluator


def _model(name: str, gamma: float = 1.0) -> DynamicsModel:
    plugin = env_plugin(name)
    assert plugin.dynamics is not None
    return DynamicsModel(plugin.dynamics(plugin.config()), make_env(name, 1).spec, gamma=gamma)


def _return(dynamics: Dynamics, spec: EnvSpec, policy: Any, state: Tensor, steps: int) -> Tensor:
    """Return the undiscounted return of each row under `policy`, by the dynamics alone."""
    rng, total = torch.Generator().manual_seed(11), torch.zeros(len(state))
    for _ in range(steps):
        obs = {"state": state, "seat": torch.zeros(len(state), dtype=torch.int64)}
        if hasattr(dynamics, "observe"):
            obs["policy"] = dynamics.observe(state)["policy"][:, 0]
        action = policy.act(obs, {}, rng, deterministic=True).action
        state, reward, _ = dynamics.step(state, action[:, None])
        total += reward[:, 0]
    return total


GAIN = np.array([1.0, 1.2])
"""Stiffness and damping that nobody tuned."""


class _Idle:
    """Do nothing."""

    reads = frozenset({"policy"})

    def initial_state(self, num_rows: int) -> PolicyState:
        return {}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        return PolicyOutput(self.force(obs, rng))

    def force(self, obs: Obs, rng: torch.Generator) -> Tensor:
        return torch.zeros(len(obs["state"]), 1)


class _Spring(_Idle):
    """Push a mass back by a spring and a damper."""

    def force(self, obs: Obs, rng: torch.Generator) -> Tensor:
        return -(obs["policy"] * torch.from_numpy(GAIN).float()).sum(-1, keepdim=True)


class _Prior(_Idle):
    """Do what the network's policy draws."""

    def __init__(self, net: ActorCritic) -> None:
        self.net = net

    def force(self, obs: Obs, rng: torch.Generator) -> Tensor:
        return self.net.act_step(obs, {})[0].sample(rng)[0]


def test_states_survive_as_bytes() -> None:
    model = _model("cartpole-balance")
    env = make_env("cartpole-balance", 3)
    env.reset(1)
    state = env.snapshot()
    assert state.dtype == torch.float64
    position = model.encode(state)
    assert position.shape == (3, 8 * state.shape[1])
    assert torch.equal(model.decode(position), state)
    action = torch.full((3, 1), 0.25)
    step = model.step(position, action, torch.Generator())
    after, reward, going = model.dynamics.step(state, action[:, None])
    assert torch.equal(model.decode(step.state), after)
    assert torch.equal(step.reward, reward[:, 0])
    assert torch.equal(step.discount, going)


def test_a_search_of_sampled_forces_comes_near_the_optimum() -> None:
    # The linear-quadratic regulator is optimal here: its cost is the floor.  Leaves are worth what
    # an untuned spring and damper would pay from there on: x' P x by Lyapunov's equation.
    model = _model("double-integrator")
    a, b = np.array([[1.0, 0.1], [0.0, 1.0]]), np.array([[0.005], [0.1]])
    closed = a - b @ GAIN[None]
    charge = np.diag([1.0, 0.1]) + 0.1 * np.outer(GAIN, GAIN)
    p = torch.from_numpy(solve_discrete_lyapunov(closed.T, charge)).float()

    def value(state: Tensor, rng: torch.Generator) -> Tensor:
        x = model.dynamics.observe(state)["policy"][:, 0]  # type: ignore[attr-defined]
        return -(x @ p * x).sum(-1)

    env = make_env("double-integrator", 8)
    env.reset(5)
    start = env.snapshot()
    net = ActorCritic(model.spec, ActorCriticConfig(hidden=(8,), initial_log_std=-1.5))
    evaluator = SampledEvaluator(
        net, model.dynamics, model.spec, 32, value=value, include_mode=True
    )
    config = SearchConfig(simulations=32, gumbel=GumbelConfig(considered=32))
    policies = {
        "prior": _Prior(net),
        "spring": _Spring(),
        "search": PlannerPolicy(model, evaluator, config),
        "lqr": make_scripted("double-integrator", "lqr"),
    }
    cost = {
        name: -_return(model.dynamics, model.spec, policy, start, 60).mean().item()
        for name, policy in policies.items()
    }
    # One step of best response to the spring, by the exact minimum, costs 1.06 times the optimum.
    assert cost["lqr"] < cost["search"] < 1.15 * cost["lqr"]
    assert cost["spring"] > 1.25 * cost["lqr"]
    assert cost["prior"] > 10 * cost["lqr"]


def test_a_plan_balances_the_cart_pole_in_the_engine() -> None:
    model = _model("cart-pole", gamma=0.99)
    env = make_env("cart-pole", 4, max_steps=50)
    always_left = RolloutValue(model, 20, action=torch.zeros(1, dtype=torch.int64))
    evaluator = ListEvaluator(model, None, always_left)
    planner = PlannerPolicy(model, evaluator, SearchConfig(simulations=12))
    assert evaluate(env, planner, games=4, seed=1).score().mean_length > 45.0
    assert evaluate(env, RandomPolicy(env.spec), games=4, seed=1).score().mean_length < 30.0


def test_a_plan_keeps_a_robot_balanced() -> None:
    model = _model("cartpole-balance", gamma=0.99)
    env = make_env("cartpole-balance", 4)
    env.reset(0)
    start = env.snapshot()
    coast = RolloutValue(model, 25, action=torch.zeros(1))
    planner = PlannerPolicy(
        model, BoxEvaluator(model, 12, coast), SearchConfig(simulations=24, rule="puct")
    )
    found = _return(model.dynamics, model.spec, planner, start, 80)
    idle = _return(model.dynamics, model.spec, _Idle(), start, 80)
    assert (found > 1.3 * idle).all()  # without a force the pole falls


def test_rollout_values_by_hand() -> None:
    model = _model("double-integrator", gamma=0.5)
    env = make_env("double-integrator", 1)
    env.reset(0)
    state = env.snapshot()
    x = state.numpy()[:, 16:].copy().view(np.float64)
    x[:] = [1.0, 0.0]
    state = torch.from_numpy(np.concatenate([state.numpy()[:, :16], x.view(np.uint8)], 1))
    # At rest 1 m away under no force each step costs 1: 1 + 1/2 + 1/4.
    value = RolloutValue(model, 3, action=torch.zeros(1))(state, torch.Generator())
    assert value.item() == pytest.approx(-1.75)


class TestErrors:
    def test_more_than_one_agent(self) -> None:
        with pytest.raises(ValueError, match="connect-four: a plan for one agent"):
            _model("connect-four")

    def test_states_that_do_not_fit(self) -> None:
        model = _model("pendulum")
        with pytest.raises(ValueError, match="pendulum: expected states"):
            model.encode(torch.zeros(2, 5, dtype=torch.uint8))
        with pytest.raises(ValueError, match="pendulum: expected positions"):
            model.decode(torch.zeros(2, 5, dtype=torch.uint8))

    def test_evaluators(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model = _model("pendulum")
        with pytest.raises(ValueError, match="say which actions to try"):
            ListEvaluator(model)
        with pytest.raises(ValueError, match=r"expected actions torch.float32 \[K, 1\]"):
            ListEvaluator(model, torch.zeros(3, 2))
        with pytest.raises(ValueError, match="not continuous"):
            BoxEvaluator(_model("cart-pole"), 4)
        with pytest.raises(ValueError, match="either a constant action or a policy"):
            RolloutValue(model, 3)
        with pytest.raises(ValueError, match="tell no observations"):
            monkeypatch.setattr(model, "dynamics", SimpleNamespace(step=model.dynamics.step))
            RolloutValue(model, 3, policy=_Spring())
