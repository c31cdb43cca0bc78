"""Candidates drawn from a policy: counts and weights by hand, masks, whole tuples, control."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from simrl.core import ContinuousActions, DiscreteActions, Head
from simrl.core.plugins import env_plugin, make_env
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.nn.distributions import ClippedGaussian, MaskedHeads
from simrl.search.config import SearchConfig, WideningConfig
from simrl.search.model import Transition
from simrl.search.planner_model import DynamicsModel
from simrl.search.sampled import SampledEvaluator, draw_sampled
from simrl.search.search import search

BUTTONS = DiscreteActions(
    (Head("button", 2), Head("where", 3, conditional=True)), selector="button"
)


def _buttons(logits: list[float]) -> MaskedHeads:
    """Button 0 needs no place; button 1 may aim at places 0 and 2."""
    mask = torch.tensor([[1, 1, *(1, 1, 1), *(1, 0, 1), *(1, 0), *(1, 1)]], dtype=torch.bool)
    return MaskedHeads(BUTTONS, torch.tensor([logits]), mask)


def test_repeats_share_one_slot_with_their_count() -> None:
    policy = _buttons([0.0, 0.0, 0.0, 0.0, 0.0])
    action, logits = draw_sampled(policy, 64, torch.Generator().manual_seed(0))
    assert action.shape == (1, 64, 2)
    kept = logits[0] > -math.inf
    tuples = [tuple(row) for row in action[0, kept].tolist()]
    # The distinct whole actions are nothing but (0, 0), (1, 0) and (1, 2).
    assert sorted(tuples) == [(0, 0), (1, 0), (1, 2)]
    shares = logits[0, kept].exp()
    for one, share in zip(tuples, shares, strict=True):
        drawn = (action[0] == torch.tensor(one)).all(-1).float().mean()
        assert share == pytest.approx(drawn.item(), rel=1e-6)
    assert shares.sum() == pytest.approx(1.0, rel=1e-6)


def test_priors_are_the_policy_on_average_whatever_the_temperature() -> None:
    # Buttons 0.8 and 0.2; places 0 and 2 given button 1: 0.1 and 0.9.
    logits = [math.log(0.8), math.log(0.2), math.log(0.1), 5.0, math.log(0.9)]
    expected = {(0, 0): 0.8, (1, 0): 0.02, (1, 2): 0.18}
    policy = _buttons(logits)
    many = MaskedHeads(BUTTONS, policy.logits.expand(4000, -1), policy.mask.expand(4000, -1))
    rng = torch.Generator().manual_seed(1)
    for temperature in (1.0, 2.5):
        action, prior = draw_sampled(many, 8, rng, temperature)
        for one, prob in expected.items():
            found = (action == torch.tensor(one)).all(-1)
            mean = torch.where(found, prior.exp(), 0.0).sum(1).mean()
            assert mean == pytest.approx(prob, abs=0.012)
    # A flat proposal draws the rare action in most rows, where the policy itself seldom does.
    rare = (draw_sampled(many, 8, rng, 10.0)[0] == torch.tensor((1, 0))).all(-1).any(1)
    assert rare.float().mean() > 0.8


def test_float_candidates_weigh_as_their_densities() -> None:
    box = ContinuousActions((-2.0, -10.0), (2.0, 10.0))
    mean = torch.tensor([[0.5, -0.2]]).expand(300, 2)
    policy = ClippedGaussian(box, mean, torch.tensor([-1.5, -1.0]))
    rng = torch.Generator().manual_seed(0)
    action, logits = draw_sampled(policy, 64, rng, 1.5)
    weight, action = logits.flatten().exp().double() / 300, action.flatten(0, 1)
    assert weight.sum() == pytest.approx(1.0, abs=0.03)
    # Means 0.5 * 2 and -0.2 * 10; the deviations are e^-1.5 * 2 and e^-1 * 10.
    centre = (weight[:, None] * action).sum(0) / weight.sum()
    np.testing.assert_allclose(centre.numpy(), [1.0, -2.0], atol=0.12)
    spread = ((weight[:, None] * (action - centre) ** 2).sum(0) / weight.sum()).sqrt()
    np.testing.assert_allclose(spread.numpy(), [0.446, 3.68], rtol=0.06)
    first = draw_sampled(policy, 4, rng, include_mode=True)[0][0, 0]
    np.testing.assert_allclose(first.numpy(), [1.0, -2.0], atol=1e-6)


def test_clipped_repeats_at_a_bound_are_one_candidate() -> None:
    box = ContinuousActions((-1.0,), (1.0,))
    policy = ClippedGaussian(box, torch.tensor([[5.0]]), torch.tensor([0.0]))
    action, logits = draw_sampled(policy, 16, torch.Generator().manual_seed(0))
    assert action[0, 0, 0] == 1.0
    assert (logits[0] > -math.inf).sum() <= 2
    assert logits[0].exp().sum() == pytest.approx(1.0, abs=1e-6)


class _Identity:
    """Reward 1 for every head that does what is shown, and the episode ends."""

    def __init__(self) -> None:
        self.plugin = env_plugin("identity-heads")
        assert self.plugin.dynamics is not None
        self.dynamics = self.plugin.dynamics(self.plugin.config())

    def step(self, state: torch.Tensor, action: torch.Tensor, rng: torch.Generator) -> Transition:
        after, reward, _ = self.dynamics.step(state, action[:, None])
        return Transition(after, reward[:, 0], torch.zeros(len(state)))


def test_factored_masked_heads_are_searched_as_whole_tuples() -> None:
    env = make_env("identity-heads", 64)
    env.reset(3)
    model = _Identity()
    net = ActorCritic(env.spec)
    evaluator = SampledEvaluator(net, model.dynamics, env.spec, 64)
    config = SearchConfig(simulations=128, rule="gumbel")
    config = replace(config, gumbel=replace(config.gumbel, considered=64, scale=0.0))
    rng = torch.Generator().manual_seed(0)
    state = env.snapshot()
    found = search(model, evaluator, state, config, rng)
    seen = model.dynamics.observe(state)
    with torch.inference_mode():
        dist, _, _ = net.act_step({k: seen[k][:, 0] for k in net.reads}, {})
        drawn, _ = dist.sample(rng)
    got = model.step(state, found.action, rng).reward
    blind = model.step(state, drawn, rng).reward
    assert isinstance(env.spec.actions, DiscreteActions)
    env.spec.actions.check(seen["action_mask"], found.action[:, None], env.spec.id)
    best = model.step(state, found.actions[:, 0], rng).reward  # type: ignore[index]
    for slot in range(1, 64):
        best = torch.maximum(best, model.step(state, found.actions[:, slot], rng).reward)  # type: ignore[index]
    assert got.mean() > blind.mean() + 0.3
    assert torch.equal(got, best)  # nothing better was among the candidates


def test_widening_opens_slots_as_visits_grow() -> None:
    env = make_env("pendulum", 4)
    env.reset(0)
    plugin = env_plugin("pendulum")
    assert plugin.dynamics is not None
    dynamics = plugin.dynamics(plugin.config())
    model = DynamicsModel(dynamics, env.spec, gamma=0.9)
    net = ActorCritic(env.spec, ActorCriticConfig(hidden=(16,)))
    evaluator = SampledEvaluator(net, dynamics, env.spec, 32)
    config = SearchConfig(
        simulations=100, rule="uct", widening=WideningConfig(constant=1.0, exponent=0.5)
    )
    found = search(model, evaluator, env.snapshot(), config, torch.Generator().manual_seed(0))
    tried = (found.visits > 0).sum(1)
    assert tried.tolist() == [10] * 4  # sqrt(100), where 32 were on offer


class TestErrors:
    def test_arguments(self) -> None:
        env = make_env("pendulum", 1)
        plugin = env_plugin("pendulum")
        assert plugin.dynamics is not None
        dynamics = plugin.dynamics(plugin.config())
        net = ActorCritic(env.spec)
        with pytest.raises(ValueError, match="num_samples must be at least 1, got 0"):
            SampledEvaluator(net, dynamics, env.spec, 0)
        with pytest.raises(ValueError, match="temperature must be positive"):
            SampledEvaluator(net, dynamics, env.spec, 4, temperature=0.0)
        memory = ActorCritic(env.spec, ActorCriticConfig(recurrent="gru"))
        with pytest.raises(ValueError, match="without memory"):
            SampledEvaluator(memory, dynamics, env.spec, 4)

    def test_agents_that_act_at_once(self) -> None:
        env = make_env("rock-paper-scissors", 1)
        plugin = env_plugin("rock-paper-scissors")
        assert plugin.dynamics is not None
        dynamics = plugin.dynamics(plugin.config())
        with pytest.raises(ValueError, match="2 agents act at once"):
            SampledEvaluator(ActorCritic(env.spec), dynamics, env.spec, 4)
