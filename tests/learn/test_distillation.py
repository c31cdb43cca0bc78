"""Distillation of searches: targets by hand, and feedback-based search on games with an optimum."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from simrl.core.plugins import env_plugin, make_config, make_env
from simrl.learn.distillation import DistillationConfig, DistillationLearner, SearchedRows
from simrl.learn.feedback_search import FeedbackSearch, FeedbackSearchConfig
from simrl.learn.policy import NetworkPolicy
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.rollout.evaluate import evaluate
from simrl.runs.feedback_search import PositionSearcher, SamplerConfig
from simrl.search.agent_model import AgentModel
from simrl.search.lookahead import LookaheadConfig


def make_net(env, **config):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ActorCritic(env.spec, ActorCriticConfig(hidden=(32,), **config)).eval()


def rps_rows(net, policy, value, count=1):
    """One situation at the start of rock-paper-scissors; its K actions are 0, 1, ..."""
    slots = len(policy)
    return SearchedRows(
        {
            "policy": torch.zeros(count, 6),
            "action_mask": torch.ones(count, 3, dtype=torch.bool),
        },
        {},
        torch.arange(slots).view(1, slots, 1).expand(count, -1, -1),
        torch.ones(count, slots, dtype=torch.bool),
        torch.tensor(policy).expand(count, -1),
        torch.full((count,), float(value)),
    )


def probabilities(net):
    dist, value, _ = net.act_step(rps_rows(net, [1.0], 0.0).obs, {})
    return dist.logits.softmax(1)[0].detach(), value.sum().item()


def test_the_loss_counts_only_the_choice_among_what_was_judged():
    """Zero logits: two of three actions, target 3/4 and 1/4, each half of the choice: ln 2."""
    net = make_net(make_env("rock-paper-scissors", 1))
    torch.nn.init.zeros_(net.head.weight)
    rows = rps_rows(net, [0.75, 0.25], 3.0)
    policy, value, moved = DistillationLearner(net).loss(rows, scale=2.0)
    assert moved.item() == 0.0
    assert policy.item() == pytest.approx(math.log(2))
    assert value.item() == pytest.approx(9 / 4)


def test_a_slot_that_repeats_another_is_left_out():
    net = make_net(make_env("rock-paper-scissors", 1))
    rows = rps_rows(net, [0.75, 0.25], 0.0)
    wider = SearchedRows(
        rows.obs,
        {},
        torch.tensor([[[0], [1], [0]]]),
        torch.tensor([[True, True, False]]),
        torch.tensor([[0.75, 0.25, 0.0]]),
        rows.value,
    )
    learner = DistillationLearner(net)
    assert learner.loss(wider)[0].item() == pytest.approx(learner.loss(rows)[0].item())


def test_what_the_search_left_as_it_was_teaches_nothing():
    net = make_net(make_env("rock-paper-scissors", 1))
    probs, _ = probabilities(net)
    same = (probs[:2] / probs[:2].sum()).tolist()
    policy, _, _ = DistillationLearner(net).loss(rps_rows(net, same, 0.0))
    policy.backward()
    assert float(net.head.weight.grad[:3].abs().max()) < 1e-6


def test_a_network_takes_over_what_was_found_and_leaves_the_rest():
    net = make_net(make_env("rock-paper-scissors", 1))
    before = probabilities(net)[0][2]
    config = DistillationConfig(learning_rate=1e-2, epochs=150, value_coef=0.5, anchor=0.0)
    metrics = DistillationLearner(net, config).fit(rps_rows(net, [0.8, 0.2], 0.7, count=2))
    probs, value = probabilities(net)
    assert float(probs[0] / probs[:2].sum()) == pytest.approx(0.8, abs=0.02)
    assert value == pytest.approx(0.7, abs=0.02)
    assert float(probs[2]) == pytest.approx(float(before), abs=0.1)
    assert metrics["loss/policy"] == pytest.approx(metrics["loss/target_entropy"], abs=1e-3)


def test_the_anchor_counts_what_the_policy_moved():
    """From logits 0 to (ln 2, 0, 0): sum of 1/3 ln((1/3) / p), p = 1/2, 1/4, 1/4."""
    net = make_net(make_env("rock-paper-scissors", 1))
    torch.nn.init.zeros_(net.head.weight)
    with torch.no_grad():
        net.head.bias[:3] = torch.tensor([math.log(2), 0.0, 0.0])
    _, _, moved = DistillationLearner(net).loss(rps_rows(net, [1.0], 0.0), torch.zeros(1, 3))
    wanted = (math.log(2 / 3) + 2 * math.log(4 / 3)) / 3
    assert moved.item() == pytest.approx(wanted, abs=1e-6)


def identity_search(seed=0, iterations=12):
    """Feedback-based search on buttons that pay 1 if they are the ones shown."""
    env = make_env("identity-heads", 16)
    plugin = env_plugin("identity-heads")
    dynamics = plugin.dynamics(make_config(plugin.config, {}, "identity-heads"))
    net = make_net(env)
    model = AgentModel(dynamics, env.spec, net, gamma=0.9)
    looks = LookaheadConfig(candidates=8, depth=1, rounds=1, confidence=1.0)
    searcher = PositionSearcher(
        env, model, SamplerConfig(moments=4, gap=1, lookahead=looks, step=1.0)
    )
    config = FeedbackSearchConfig(
        iterations, keep=4, learner=DistillationConfig(learning_rate=3e-3, epochs=6, anchor=0.1)
    )
    return env, FeedbackSearch(net, searcher, config, seed=seed)


def mean_return(env, net):
    score = evaluate(env, NetworkPolicy(net), games=64, seed=3).score()
    return score.mean_return / score.mean_length


def test_feedback_search_learns_what_its_searches_find():
    _, loop = identity_search(iterations=25)
    before = mean_return(make_env("identity-heads", 16), loop.net)
    metrics = loop.run()
    after = mean_return(make_env("identity-heads", 16), loop.net)
    assert after > before + 0.3
    assert metrics[-1]["search/value"] > metrics[0]["search/value"]
    assert len(loop.history) == 26


def test_feedback_search_is_the_same_from_the_same_seed():
    weights = []
    for _ in range(2):
        _, loop = identity_search(iterations=2)
        loop.run()
        weights.append(loop.history[-1])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def rps_search(net, env, **sampler):
    """Search games of rock-paper-scissors of 9 rounds."""
    plugin = env_plugin("rock-paper-scissors")
    dynamics = plugin.dynamics(make_config(plugin.config, {"rounds": 9}, "rock-paper-scissors"))
    model = AgentModel(dynamics, env.spec, net, gamma=1.0)
    looks = LookaheadConfig(candidates=3, depth=1)
    return PositionSearcher(env, model, SamplerConfig(lookahead=looks, **sampler))


def test_values_are_taught_by_every_step_of_the_games_between():
    """Undiscounted Monte Carlo returns of 9 rounds are whole numbers, the opponent's negated."""
    env = make_env("rock-paper-scissors", 6, rounds=9)
    net = make_net(env)
    searcher = rps_search(net, env, moments=3, gap=9, gae_lambda=1.0)
    found = searcher(net, torch.Generator().manual_seed(0))
    assert len(found.rows) == 18 and len(found.played) == 3
    for games in found.played:
        returns = games.returns.squeeze(-1)
        assert returns.shape == (9, 12)
        assert torch.allclose(returns, returns.round(), atol=1e-5)
        assert torch.allclose(returns[:, ::2], -returns[:, 1::2], atol=1e-5)
        assert torch.allclose(returns[0], games.buffer.reward.sum(0), atol=1e-5)
    first, last = found.played[0], found.played[-1]
    assert not torch.equal(first.buffer.reward, last.buffer.reward)  # copies, not one buffer
    assert first.returns.abs().max() > 1
    bare = rps_search(net, env, moments=1, gap=2, gae_lambda=None)
    assert bare(net, torch.Generator()).played == ()


@pytest.mark.parametrize("recurrent", ["none", "lstm"])
def test_a_value_learns_from_the_games_and_the_policy_stays(recurrent):
    """Games worth 5 and searches worth 0: the value says 5, the policy keeps near what it was."""
    env = make_env("rock-paper-scissors", 6, rounds=9)
    net = make_net(env, recurrent=recurrent, recurrent_width=8)
    found = rps_search(net, env, moments=2, gap=9)(net, torch.Generator().manual_seed(0))
    rows = replace(found.rows, value=torch.zeros(len(found.rows)))
    for games in found.played:
        games.returns.fill_(5.0)
        games.returns[0] += 1.0  # of one value all targets would have no scale
    config = DistillationConfig(
        learning_rate=1e-2, epochs=150, minibatch_size=6, value_minibatch_size=54, anchor=0.3
    )
    metrics = DistillationLearner(net, config).fit(rows, found.played)
    game = found.played[0].buffer
    _, value = net.sequence(game.obs, game.start_state, game.episode_start)
    assert value[1:].mean().item() == pytest.approx(5.0, abs=0.3)
    assert metrics["loss/moved"] < 0.1


def test_the_searcher_refuses_another_network():
    env, loop = identity_search()
    with pytest.raises(ValueError, match="model's network"):
        loop.searcher(make_net(env), torch.Generator())
    with pytest.raises(ValueError, match="iterations"):
        FeedbackSearchConfig(iterations=0)
    with pytest.raises(ValueError, match="learning_rate"):
        DistillationConfig(learning_rate=0.0)
    with pytest.raises(ValueError, match="gae_lambda"):
        SamplerConfig(gae_lambda=1.5)


def test_memory_goes_to_the_agent_whose_it_is():
    """Rows of an LSTM's searches carry the memory of the seat that was searched."""
    env = make_env("rock-paper-scissors", 6, rounds=9)
    plugin = env_plugin("rock-paper-scissors")
    dynamics = plugin.dynamics(make_config(plugin.config, {"rounds": 9}, "rock-paper-scissors"))
    net = make_net(env, recurrent="lstm", recurrent_width=8)
    model = AgentModel(dynamics, env.spec, net, gamma=1.0)
    looks = LookaheadConfig(candidates=3, depth=2)
    searcher = PositionSearcher(env, model, SamplerConfig(moments=1, gap=3, lookahead=looks))
    rows = searcher(net, torch.Generator().manual_seed(0)).rows
    state = searcher.engine.state_dict()
    whole = state["states"]["policy"]["h"].unflatten(0, (6, 2))
    assert len(rows) == 6
    for row in range(6):
        seats = [seat for seat in (0, 1) if torch.equal(rows.memory["h"][row], whole[row, seat])]
        assert len(seats) == 1
        game = state["env"][row : row + 1]
        seen = dynamics.observe(game)["policy"][0, seats[0]]
        assert torch.equal(rows.obs["policy"][row], seen)
