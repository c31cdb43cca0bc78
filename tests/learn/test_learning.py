"""PPO finds the known optimum of the toy tasks."""

import pytest
import torch

from simrl.core.plugins import make_env
from simrl.learn.policy import NetworkPolicy
from simrl.learn.ppo import PPOConfig, PPOLearner
from simrl.nn import ActorCritic, ActorCriticConfig
from simrl.rollout import RolloutEngine, Seating


def train(env, net_config, config, *, unroll, updates, seed=0):
    """Train in self-play for some updates and return the policy and every update's mean reward."""
    torch.manual_seed(seed)
    net = ActorCritic(env.spec, net_config)
    policy = NetworkPolicy(net)
    engine = RolloutEngine(env, Seating.self_play(env, policy), seed=seed)
    learner = PPOLearner(net, config, seed=seed)
    rewards = []
    for update in range(updates):
        buffer = engine.collect(unroll)
        rewards.append(float(buffer.reward.mean()))
        learner.update(buffer, update / updates)
    return policy, rewards


FAST = PPOConfig(learning_rate=3e-3, minibatch_size=512, gamma=0.9, entropy_coef=0.003)


@pytest.mark.parametrize("name", ["identity", "identity-heads"])
def test_identity_reaches_the_optimum(name):
    env = make_env(name, 64)
    policy, rewards = train(env, ActorCriticConfig(hidden=(64,)), FAST, unroll=16, updates=150)
    engine = RolloutEngine(env, Seating.self_play(env, policy, train=False), seed=1)
    table = engine.run_episodes(64, deterministic=True)
    best = table.returns / table.length[:, None]
    assert best.mean() > 0.97  # the reward of a right answer is 1
    assert rewards[-1] > rewards[0] + 0.2


def test_continuous_identity_comes_close():
    env = make_env("identity-continuous", 64)
    config = PPOConfig(learning_rate=3e-3, minibatch_size=512, gamma=0.5, entropy_coef=0.0)
    _, rewards = train(env, ActorCriticConfig(hidden=(64,)), config, unroll=16, updates=150)
    assert rewards[-1] > 0.3 * rewards[0]  # rewards are minus the squared error
    assert rewards[-1] > -0.1


def test_memory_is_solved_with_recurrence_and_not_without():
    finals = {}
    for recurrent in ("lstm", "none"):
        env = make_env("memory", 64)
        net = ActorCriticConfig(hidden=(32,), recurrent=recurrent, recurrent_width=32)
        config = PPOConfig(learning_rate=5e-3, minibatch_size=512, gamma=0.95, entropy_coef=0.005)
        policy, _ = train(env, net, config, unroll=24, updates=60)
        engine = RolloutEngine(env, Seating.self_play(env, policy, train=False), seed=1)
        finals[recurrent] = engine.run_episodes(256, deterministic=True).returns.mean()
    assert finals["lstm"] > 0.95
    assert finals["none"] < 0.45  # guessing one of four earns 0.25


def test_cart_pole_is_balanced():
    env = make_env("cart-pole", 32)
    config = PPOConfig(
        learning_rate=2e-3,
        learning_rate_schedule="linear",
        minibatch_size=512,
        epochs=6,
        gamma=0.98,
        gae_lambda=0.9,
        entropy_coef=0.0,
    )
    net = ActorCriticConfig(hidden=(64, 64), activation="tanh", critic="separate")
    policy, _ = train(env, net, config, unroll=64, updates=60)
    env = make_env("cart-pole", 50)
    engine = RolloutEngine(env, Seating.self_play(env, policy, train=False), seed=9)
    assert engine.run_episodes(50, deterministic=True).returns.mean() > 450  # the most is 500


def test_rock_paper_scissors_averages_to_uniform():
    env = make_env("rock-paper-scissors", 128)
    counts = torch.zeros(3)
    torch.manual_seed(0)
    net = ActorCritic(env.spec, ActorCriticConfig(hidden=(16,)))
    # A biased start: without learning, play would stay at one hand.
    with torch.no_grad():
        net.head.bias[:3] = torch.tensor([2.0, 0.0, 0.0])
    policy = NetworkPolicy(net)
    engine = RolloutEngine(env, Seating.self_play(env, policy), seed=0)
    config = PPOConfig(learning_rate=1e-2, gamma=0.0, entropy_coef=0.05, minibatch_size=1024)
    learner = PPOLearner(net, config)
    first = None
    for _ in range(120):
        buffer = engine.collect(8)
        share = torch.bincount(buffer.action.flatten(), minlength=3) / buffer.action.numel()
        first = share if first is None else first
        counts += share
        learner.update(buffer)
    assert first is not None
    assert first.max() > 0.6
    assert ((counts / 120 - 1 / 3).abs() < 0.12).all()


def test_memory_is_solved_by_a_history_that_reaches_back_to_the_cue():
    env = make_env("memory", 64)
    net = ActorCriticConfig(hidden=(64,), history=8)
    config = PPOConfig(learning_rate=3e-3, minibatch_size=512, gamma=0.95, entropy_coef=0.005)
    policy, _ = train(env, net, config, unroll=24, updates=60)
    engine = RolloutEngine(env, Seating.self_play(env, policy, train=False), seed=1)
    assert engine.run_episodes(256, deterministic=True).returns.mean() > 0.95
