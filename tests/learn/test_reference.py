"""PPO with the exact KL to a frozen reference finds the optimum that is known in closed form."""

import copy
import math

import numpy as np
import pytest
import torch

from simrl.core import DiscreteActions, Head
from simrl.core.plugins import make_env
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl.learn.policy import NetworkPolicy
from simrl.learn.ppo import PPOConfig, PPOLearner
from simrl.learn.reference import Reference
from simrl.nn import ActorCritic, ActorCriticConfig
from simrl.rollout import RolloutEngine, Seating
from simrl_envs.toy.base import Move, ToyEnv, record

END = -1


class Table:
    """A Markov decision process by its tables: next state and reward of each state and action."""

    def __init__(self, following, reward):
        self.following, self.reward = np.array(following), np.array(reward, np.float32)
        states, actions = self.reward.shape
        self.record = record(("state", np.int32))
        columns = [Column(f"state_{i}", 0.0, 1.0) for i in range(states)]
        self.spec = EnvSpec(
            id="table",
            num_agents=1,
            observations={"policy": Layout((vector("state", *columns),))},
            actions=DiscreteActions((Head("action", actions),)),
            state_size=self.record.itemsize,
        )

    def start(self, games):
        games["state"] = 0

    def advance(self, games, action):
        state, chosen = games["state"].copy(), action[:, 0, 0]
        following = self.following[state, chosen]
        games["state"] = np.maximum(following, 0)
        return Move(self.reward[state, chosen][:, None], following == END)

    def observe(self, games):
        states, actions = self.reward.shape
        seen = np.eye(states, dtype=np.float32)[games["state"]][:, None]
        return {"policy": seen, "action_mask": np.ones((len(games), 1, actions), np.bool_)}

    def metrics(self, games):
        return {}

    def draw(self, game):
        return np.zeros((1, 1, 3), np.uint8)


def probabilities(net, states):
    dist, _, _ = net.act_step({"policy": torch.eye(states)}, {})
    return dist.selector_probs().detach()


def optimise(table, beta, *, reference_logits=None, updates=100, **options):
    """Train a table of logits with PPO against a reference; return both policies' probabilities."""
    env = ToyEnv(table, 256)
    states, actions = table.reward.shape
    torch.manual_seed(0)
    reference = ActorCritic(env.spec, ActorCriticConfig(hidden=()))
    if reference_logits is not None:
        with torch.no_grad():
            reference.head.weight[:actions] = torch.tensor(reference_logits).t()
    net = copy.deepcopy(reference)
    settings = {"epochs": 2, "minibatch_size": 512, "entropy_coef": 0.0, "max_grad_norm": None}
    config = PPOConfig(
        learning_rate=0.1,
        learning_rate_schedule="linear",
        gamma=1.0,
        gae_lambda=1.0,
        reference_coef=beta,
        **settings | options,
    )
    learner = PPOLearner(net, config, reference=reference)
    engine = RolloutEngine(env, Seating.self_play(env, NetworkPolicy(net)), seed=0)
    metrics = {}
    for update in range(updates):
        metrics = learner.update(engine.collect(8), update / updates)
    return probabilities(net, states), probabilities(reference, states), metrics


@pytest.mark.parametrize("normalise", [True, False])
def test_a_bandit_comes_to_the_reference_times_the_exponential_of_reward(normalise):
    rewards, beta = [0.0, 0.3, 0.5, -0.4], 0.5
    bandit = Table([[END] * 4], [rewards])
    logits = [[0.5, -0.5, -1.0, 1.0]]
    got, reference, metrics = optimise(
        bandit, beta, reference_logits=logits, normalise_advantage=normalise
    )
    weights = [p * math.exp(r / beta) for p, r in zip(reference[0].tolist(), rewards, strict=True)]
    best = torch.tensor(weights) / sum(weights)
    assert 0.5 * float((got[0] - best).abs().sum()) < 0.01  # total variation
    assert 0.5 * float((reference[0] - best).abs().sum()) > 0.2  # it was not there before
    expected = float((best * (best / reference[0]).log()).sum())
    assert metrics["rollout/reference_kl"] == pytest.approx(expected, rel=0.1)


def test_later_divergence_counts_where_one_steers_towards_it():
    # From state 0, action 0 leads to state 1, where rewards 4 and 0 pull away from an even
    # reference, action 1 to state 2, which pays 3.6 either way.  With beta = 1:
    #   V(1) = ln((e^4 + 1) / 2) = 3.3250,  V(2) = 3.6,
    #   p(action 0) = 1 / (1 + e^(3.6 - 3.3250)) = 0.4317.
    # Who forgets the penalty that is paid in state 1 sees its mean reward, 4 e^4 / (e^4 + 1) =
    # 3.9281, and takes action 0 with probability 1 / (1 + e^(3.6 - 3.9281)) = 0.5813.
    table = Table([[1, 2], [END, END], [END, END]], [[0, 0], [4, 0], [3.6, 3.6]])
    even = [[0.0, 0.0]] * 3
    got, _, _ = optimise(table, 1.0, reference_logits=even, updates=130)
    assert float(got[0, 0]) == pytest.approx(0.4317, abs=0.02)
    assert float(got[1, 0]) == pytest.approx(math.exp(4) / (math.exp(4) + 1), abs=0.01)
    assert float(got[2, 0]) == pytest.approx(0.5, abs=0.03)


def small_run(name, **config):
    env = make_env(name, 4)
    torch.manual_seed(1)
    reference = ActorCritic(env.spec, ActorCriticConfig(policy_gain=1.0, **config))
    net = ActorCritic(env.spec, ActorCriticConfig(policy_gain=1.0, **config))
    policy = NetworkPolicy(net)
    engine = RolloutEngine(env, Seating.self_play(env, policy), seed=0)
    return env, net, reference, engine


@pytest.mark.parametrize("name", ["identity-heads", "identity-continuous", "memory"])
def test_the_gradient_of_the_divergence_agrees_with_finite_differences(name):
    recurrent = "gru" if name == "memory" else "none"
    _, net, reference, engine = small_run(
        name, hidden=(8,), activation="tanh", recurrent=recurrent, recurrent_width=4
    )
    buffer = engine.collect(9)
    holder = Reference(reference)
    outputs = holder.outputs(buffer).flatten(0, 1).double()
    net.double()
    reference.double()
    for group in (buffer.obs, buffer.start_state):
        for key, value in group.items():
            group[key] = value.double() if value.is_floating_point() else value

    def divergence():
        dist, _ = net.sequence(buffer.obs, buffer.start_state, buffer.episode_start)
        return holder.kl(dist, outputs).mean()

    value = divergence()
    assert float(value.detach()) > 1e-3
    names = ["trunk.0.weight", "head.weight"] + ["log_std"] * hasattr(net, "log_std")
    parameters = dict(net.named_parameters())
    grads = torch.autograd.grad(value, [parameters[n] for n in names])
    for name, grad in zip(names, grads, strict=True):
        flat = parameters[name].data.view(-1)
        for index in range(0, min(len(flat), 24), 3):
            kept = float(flat[index])
            flat[index] = kept + 1e-6
            up = float(divergence().detach())
            flat[index] = kept - 1e-6
            down = float(divergence().detach())
            flat[index] = kept
            assert (up - down) / 2e-6 == pytest.approx(float(grad.view(-1)[index]), abs=1e-7)


def test_a_reference_remembers_across_buffers():
    _, _, reference, engine = small_run("memory", hidden=(8,), recurrent="lstm", recurrent_width=4)
    first, second = Reference(reference), Reference(copy.deepcopy(reference))
    parts = []
    for _ in range(3):
        buffer = engine.collect(5)
        parts.append(first.outputs(buffer))
    _, _, _, again = small_run("memory", hidden=(8,), recurrent="lstm", recurrent_width=4)
    whole = second.outputs(again.collect(15))
    torch.testing.assert_close(torch.cat(parts), whole)


def test_training_with_a_reference_resumes_bit_for_bit():
    def build():
        _, net, reference, engine = small_run(
            "memory", hidden=(8,), recurrent="lstm", recurrent_width=4
        )
        return PPOLearner(net, PPOConfig(minibatch_size=64), reference=reference), engine

    learner, engine = build()
    learner.update(engine.collect(5))
    saved = copy.deepcopy((learner.state_dict(), engine.state_dict()))
    expected = learner.update(engine.collect(5))
    resumed, other = build()
    resumed.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    assert resumed.update(other.collect(5)) == expected


def test_the_reference_stays_frozen_and_is_charged_for():
    _, net, reference, engine = small_run("identity-heads", hidden=(8,))
    before = copy.deepcopy(reference.state_dict())
    learner = PPOLearner(net, PPOConfig(reference_coef=2.0), reference=reference)
    assert learner.explicit is None  # the gradient by hand knows no reference
    buffer = engine.collect(8)
    free = PPOLearner(copy.deepcopy(net), PPOConfig(gae_lambda=0.0, gamma=0.0))
    charged = PPOLearner(
        copy.deepcopy(net),
        PPOConfig(gae_lambda=0.0, gamma=0.0, reference_coef=2.0),
        reference=copy.deepcopy(reference),
    )
    # Without discount or bootstrap the return of a step is its reward alone.
    gap = free.prepare(buffer).returns[..., 0] - charged.prepare(buffer).returns[..., 0]
    obs = {name: value.flatten(0, 1) for name, value in buffer.obs.items()}
    dist = net.act_step(obs, {})[0]
    kl = dist.kl(reference.act_step(obs, {})[0]).detach()
    torch.testing.assert_close(gap.flatten(), 2.0 * kl, rtol=1e-4, atol=1e-5)
    learner.update(buffer)
    for key, value in reference.state_dict().items():
        assert torch.equal(value, before[key])


def test_rewards_are_clipped():
    _, net, _, engine = small_run("identity-heads", hidden=(8,))
    buffer = engine.collect(8)
    buffer.reward.copy_(torch.linspace(-9, 9, 32).view(8, 4))
    learner = PPOLearner(net, PPOConfig(gamma=0.0, gae_lambda=0.0, reward_clip=5.0))
    returns = learner.prepare(buffer).returns
    assert float(returns.max()) == pytest.approx(5.0, abs=1e-5)
    assert float(returns.min()) == pytest.approx(-5.0, abs=1e-5)
    with pytest.raises(ValueError, match="reward_clip must be positive"):
        PPOConfig(reward_clip=0.0)
    with pytest.raises(ValueError, match="reference_coef must not be negative"):
        PPOConfig(reference_coef=-1.0)
