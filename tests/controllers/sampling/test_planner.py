"""Sampling controllers against the optimum of a linear system, and their promises."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from simrl.core import ContinuousActions, EnvSpec, Layout, PolicyOutput
from simrl.core.checks import check_policy
from simrl.core.plugins import env_plugin, make_env
from simrl.core.spec import Column, vector
from simrl.rollout import evaluate
from simrl_controllers.sampling import (
    SUITED,
    CemConfig,
    Effort,
    MppiConfig,
    PolicyProposal,
    PredictiveConfig,
    make_cem,
    make_mppi,
    make_predictive,
    planner,
)
from simrl_controllers.sampling.plan import effort
from simrl_controllers.terminal_value import CriticValue

A = torch.tensor([[1.0, 0.1], [0.0, 1.0]], dtype=torch.float64)
B = torch.tensor([[0.005], [0.1]], dtype=torch.float64)


class Mass:
    """A mass on a line: state (position, velocity), cost position^2 + 0.1 velocity^2 + 0.1 force^2.

    `wall` ends the task beyond that position; `bad_force` makes larger forces give NaN.
    """

    def __init__(self, wall=math.inf, bad_force=math.inf):
        self.wall, self.bad_force, self.calls = wall, bad_force, 0

    def step(self, state, action):
        self.calls += 1
        force = action[:, 0].double()
        ended = state[:, 0].abs() > self.wall
        reward = -(state[:, :1] ** 2 + 0.1 * state[:, 1:] ** 2 + 0.1 * force**2)
        after = state @ A.T + force @ B.T
        after = torch.where(force.abs() > self.bad_force, torch.nan, after)
        after = torch.where(ended[:, None], state, after)
        reward = torch.where(ended[:, None], 0.0, reward).float()
        return after, reward, (after[:, 0].abs() <= self.wall).float()


SPEC = EnvSpec(
    id="mass",
    num_agents=1,
    observations={"policy": Layout((vector("mass", Column("x"), Column("v")),))},
    actions=ContinuousActions((-5.0,), (5.0,)),
    state_size=2,
    state_dtype=torch.float64,
    dynamics=Mass,
    physics={"state": {"qpos": slice(0, 1), "qvel": slice(1, 2)}},
)
MAKERS = {
    "predictive": (make_predictive, PredictiveConfig(horizon=25, samples=64, knots=6)),
    "mppi": (make_mppi, MppiConfig(horizon=25, samples=64, knots=6)),
    "cem": (
        make_cem,
        CemConfig(
            horizon=25, samples=64, knots=6, elite_fraction=0.15, momentum=0.1, min_noise=0.05
        ),
    ),
}
EVERY = pytest.mark.parametrize("name", MAKERS)


def make(name, spec=SPEC, options=None, **parts):
    maker, config = MAKERS[name]
    return maker(spec, replace(config, **(options or {})), **parts)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def act(policy, state, memory=None, seed=0):
    memory = policy.initial_state(len(state)) if memory is None else memory
    return policy.act({"state": state}, memory, rng(seed))


@EVERY
def test_closed_loop_cost_is_near_the_linear_quadratic_optimum(name):
    env = make_env("double-integrator", 20)
    config = env_plugin("double-integrator").config()
    dynamics = env_plugin("double-integrator").dynamics(config)
    best = env_plugin("double-integrator").policies["lqr"](config)
    options = {"horizon": 16, "knots": 8, "samples": 128, "iterations": 4}
    policy = make(name, env.spec, options, dynamics=dynamics)
    optimum = evaluate(env, best, games=20, seed=3).score().mean_return
    reached = evaluate(env, policy, games=20, seed=3).score().mean_return
    # The bound on the force is never active, so nothing can be better than the optimum.
    assert 1.0 - 1e-6 <= reached / optimum < {"predictive": 1.05, "mppi": 1.05, "cem": 1.03}[name]


@EVERY
def test_the_policy_keeps_its_contract(name):
    env = make_env("double-integrator", 4)
    plugin = env_plugin("double-integrator")
    policy = make(name, env.spec, {"samples": 8}, dynamics=plugin.dynamics(plugin.config()))
    check_policy(policy, env)


@EVERY
def test_all_rows_and_samples_go_through_one_call(name):
    class Native(Mass):
        def rollout(self, state, actions):
            self.calls += 1
            self.shape = tuple(actions.shape)
            states, rewards, discounts = [], [], []
            for t in range(actions.shape[1]):
                state, reward, discount = Mass.step(self, state, actions[:, t])
                states.append(state), rewards.append(reward), discounts.append(discount)
            self.calls -= actions.shape[1]
            return torch.stack(states, 1), torch.stack(rewards, 1), torch.stack(discounts, 1)

    native = Native()
    policy = make(name, options={"iterations": 2}, dynamics=native)
    assert torch.equal(
        act(policy, torch.ones(3, 2).double()).action,
        act(make(name, options={"iterations": 2}), torch.ones(3, 2).double()).action,
    )
    assert native.calls == 2
    assert native.shape == (3 * 64, 25, 1, 1)


@EVERY
def test_diverged_samples_never_win_and_never_spread_nan(name):
    state = torch.tensor([[2.0, 0.0], [-2.0, 0.5]]).double()
    policy = make(name, dynamics=Mass(bad_force=1.0), options={"noise": (0.5,)})
    output = act(policy, state)
    assert bool(torch.isfinite(output.action).all())
    assert output.extras["fallback"].tolist() == [0, 0]
    for value in (*output.extras.values(), *output.state.values()):
        assert bool(torch.isfinite(value).all())


@EVERY
def test_rows_whose_plans_all_diverge_go_on_with_the_last_plan(name):
    # Row 1 is beyond what the model can step: everything there is NaN.
    class Broken(Mass):
        def step(self, state, action):
            after, reward, discount = super().step(state, action)
            return after, torch.where(state[:, :1] > 50, torch.nan, reward), discount

    policy = make(name, dynamics=Broken())
    state = torch.tensor([[1.0, 0.0], [100.0, 0.0]]).double()
    knots = torch.full((2, 6, 1), 0.7)
    output = act(policy, state, {"knots": knots})
    assert output.extras["fallback"].tolist() == [0, 1]
    assert float(output.action[1]) == pytest.approx(0.7)
    assert torch.allclose(output.state["knots"][1], knots[1], atol=1e-5)
    assert bool(torch.isfinite(output.state["knots"]).all())
    alone = act(policy, state[:1], {"knots": knots[:1]})
    assert torch.equal(alone.action, output.action[:1])


@EVERY
def test_the_same_generator_gives_the_same_bits_and_another_seed_does_not(name):
    state = torch.tensor([[1.0, -0.5]]).double()
    policy = make(name)
    assert torch.equal(act(policy, state).action, act(policy, state).action)
    assert not torch.equal(act(policy, state).action, act(policy, state, seed=1).action)


@EVERY
def test_the_plan_is_kept_and_shifted(name):
    policy = make(name, options={"knots": 25})
    state = torch.tensor([[1.5, 0.0]]).double()
    first = act(policy, state)
    # With a knot for every control the memory is the plan less its first control.
    again = act(policy, state, first.state)
    assert not torch.equal(first.state["knots"], policy.initial_state(1)["knots"])
    assert float(again.extras["cost"]) < float(first.extras["cost"])


def test_terminal_value_decides_what_the_horizon_cannot_see():
    # One step ahead, the cost of the force alone is seen: without a value it is best to rest.
    # With the value -10 x^2 - v^2 pulling home matters.
    state = torch.tensor([[1.0, 0.0]]).double()
    short = {"horizon": 1, "knots": 1, "samples": 512, "iterations": 5}
    rest = act(make("cem", options=short), state).action
    assert abs(float(rest)) < 0.2
    value = lambda s: -10 * s[:, 0] ** 2 - s[:, 1] ** 2  # noqa: E731
    # minimise 0.1 f^2 + 10 (1 + 0.005 f)^2 + (0.1 f)^2: f = -0.05 / (0.1 + 0.00025 + 0.01).
    pulled = act(make("cem", options=short, terminal_value=value), state).action
    assert float(pulled) == pytest.approx(-0.4535, abs=0.1)
    critic = CriticValue(lambda s: value(s).unsqueeze(1))
    learned = act(make("cem", options=short, terminal_value=critic), state).action
    assert torch.equal(learned, pulled)


def test_many_rows_are_split_over_calls_without_a_difference(monkeypatch):
    state = torch.randn(7, 2, generator=rng()).double()
    whole = act(make("mppi"), state)
    # Three rows of 64 samples, 25 steps and 2 numbers a call.
    monkeypatch.setattr(planner, "MAX_NUMBERS", 3 * 64 * 25 * 2)
    parts = act(make("mppi"), state)
    assert torch.equal(whole.action, parts.action)
    assert torch.equal(whole.extras["cost"], parts.extras["cost"])


def test_discount_and_early_end_by_hand():
    # Pushed out at 1 m/s from 0.85 m past a wall at 1 m with the force 0: after each step the
    # positions are 0.95 and 1.05, so the task ends with the second step and the rest is free.
    options = {"horizon": 4, "knots": 1, "samples": 2, "noise": (1e-9,), "end_cost": 7.0}
    policy = make("predictive", options={**options, "gamma": 0.5}, dynamics=Mass(wall=1.0))
    cost = float(act(policy, torch.tensor([[0.85, 1.0]]).double()).extras["cost"])
    by_hand = (0.85**2 + 0.1) + 0.5 * (0.95**2 + 0.1) + 7.0
    assert cost == pytest.approx(by_hand, rel=1e-5)


def test_a_good_proposal_is_taken():
    class Pull:
        reads = frozenset({"state"})

        def initial_state(self, num_rows):
            return {}

        def act(self, obs, state, rng, *, deterministic=False):
            gain = torch.tensor([[2.4], [2.2]]).double()
            force = -(obs["state"] @ gain)
            noise = 0.0 if deterministic else 0.1 * torch.randn(force.shape, generator=rng)
            return PolicyOutput((force + noise).float())

    options = {"samples": 2, "noise": (1e-6,), "spline": "cubic"}
    state = torch.tensor([[1.0, 0.0], [0.0, -1.0]]).double()
    proposal = PolicyProposal(Pull(), Mass(), plans=3)
    assert proposal(state, 25, rng()).shape == (2, 3, 25, 1)
    alone, guided = (
        act(make("predictive", options=options, proposal=p), state) for p in (None, proposal)
    )
    assert bool((guided.extras["cost"] < 0.6 * alone.extras["cost"]).all())
    assert float(guided.action[0]) == pytest.approx(-2.4, abs=0.4)


def test_noise_is_drawn_about_the_cheapest_of_the_last_plan_and_the_proposed_ones():
    # Over one second the mass at rest in 1 m costs 10 if it is left alone, about 7.2 + 0.3 + 1 if
    # it is pulled home by 1 N, and more if it is pushed; from -1 m, 2 N costs 5.3 + 1.3 + 4.
    pushes = torch.tensor([2.0, -1.0, 1.0])

    def propose(state, horizon, rng):
        return pushes.view(1, 3, 1, 1).expand(len(state), 3, horizon, 1)

    options = {"samples": 8, "noise": (1e-9,), "knots": 1, "temperature": 1e9}
    options["horizon"] = 10
    state = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]).double()
    output = act(make("mppi", options=options, proposal=propose), state)
    # All samples weigh the same: the last plan 0, the proposals, and seven about the best one.
    assert output.action[:, 0].tolist() == pytest.approx([(2 - 7) / 11, (2 + 7) / 11], abs=1e-3)
    kept = act(make("mppi", options=options, proposal=propose), state, output.state)
    assert not torch.equal(kept.action, output.action)


def test_a_proposal_that_reads_more_than_is_observed_is_named():
    class Net:
        reads = frozenset({"policy"})

        def initial_state(self, num_rows):
            return {}

    policy = make("mppi", proposal=PolicyProposal(Net(), Mass()))
    with pytest.raises(ValueError, match=r"reads \['policy'\], but observe gives"):
        act(policy, torch.zeros(1, 2).double())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0, "knots": 1}, "horizon must be at least 1, got 0"),
        ({"samples": 1}, "samples must be at least 2, got 1"),
        ({"knots": 26}, "knots must be at most the horizon of 25, got 26"),
        ({"noise": (0.1, -0.1)}, "noise must be positive"),
        ({"noise": (0.1, 0.1)}, "noise needs 1 or 1 numbers, one for each actuator, got 2"),
        ({"gamma": 0.0}, "gamma must be above 0"),
        ({"spline": "quintic"}, "unknown spline 'quintic'"),
        ({"temperature": -1.0}, "temperature must be at least 0"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        make("mppi", options=options)


@EVERY
def test_bad_tasks_and_states_are_named(name):
    with pytest.raises(ValueError, match="mass: there is no model to plan with"):
        make(name, replace(SPEC, dynamics=None))
    with pytest.raises(ValueError, match=r"tic-tac-toe: .* these are discrete"):
        make(name, make_env("tic-tac-toe", 1).spec)
    with pytest.raises(ValueError, match="plan for one agent, and there are 2"):
        make(name, replace(SPEC, num_agents=2, teams=(), agent_names=()))
    state = torch.tensor([[0.0, 0.0], [0.0, np.nan]]).double()
    with pytest.raises(ValueError, match=r"mass: row 1: number 1 of the state \(qvel\) is nan"):
        act(make(name), state)


def test_open_options_take_what_suits_the_system():
    assert effort(MppiConfig(), "cartpole") == SUITED["cartpole"]
    assert effort(MppiConfig(samples=9), "cartpole") == replace(SUITED["cartpole"], samples=9)
    assert effort(CemConfig(), "car").iterations == 3  # its own default, not the car's
    assert effort(MppiConfig(), "something new") == Effort()
    short = effort(MppiConfig(horizon=9), "cartpole")  # the cart-pole's 10 knots are too many
    assert short == replace(SUITED["cartpole"], horizon=9, knots=9)
    with pytest.raises(ValueError, match="knots must be at most the horizon of 9, got 10"):
        effort(MppiConfig(horizon=9, knots=10), "cartpole")
