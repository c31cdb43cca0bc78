"""Stable-baselines3 trains on our environments, and its models play in them."""

import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3")
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from simrl.adapters.gymnasium import SingleAgentGym
from simrl.adapters.stable_baselines3 import SB3Policy, SB3VecEnv
from simrl.core.checks import check_policy
from simrl.core.plugins import make_env


def _model(env, **options):
    return PPO(
        "MlpPolicy",
        SB3VecEnv(env),
        n_steps=16,
        batch_size=64,
        learning_rate=3e-3,
        policy_kwargs={"net_arch": [32]},
        seed=0,
        device="cpu",
        **options,
    )


@pytest.mark.parametrize("name", ["cart-pole", "identity-heads", "identity-continuous"])
def test_single_agent_view_passes_sb3s_checker(name):
    sb3_check_env(SingleAgentGym(make_env(name, 1)), warn=False)


def test_time_limit_is_told_with_the_true_last_observation():
    env = SB3VecEnv(make_env("counting", 2, truncate_at=2))
    assert env.reset().tolist() == [[0], [0]]
    zeros = np.zeros(2, np.int64)
    env.step(zeros)
    obs, reward, done, infos = env.step(zeros)
    assert obs.tolist() == [[0], [0]] and reward.tolist() == [2, 2] and done.tolist() == [True] * 2
    assert infos[0]["terminal_observation"].tolist() == [2]
    assert infos[0]["TimeLimit.truncated"] is True
    ends = SB3VecEnv(make_env("counting", 1, terminate_at=1))
    ends.reset()
    assert ends.step(np.zeros(1, np.int64))[3][0]["TimeLimit.truncated"] is False


def test_both_agents_of_a_game_are_environments():
    env = SB3VecEnv(make_env("tic-tac-toe", 3))
    assert env.reset().shape == (6, 19)
    masks = env.env_method("action_masks")
    assert [int(mask.sum()) for mask in masks] == [9, 1] * 3
    with pytest.raises(AttributeError, match="no method 'fly'"):
        env.env_method("fly")


def test_training_learns_identity_and_plays_as_a_policy():
    env = make_env("identity", 16)
    model = _model(env, gamma=0.0, n_epochs=4)
    model.learn(6000)
    policy = SB3Policy(model, env.spec)
    check_policy(policy, make_env("identity", 8), num_steps=4)
    obs, rewards = env.reset(5), []
    for _ in range(50):
        rows = {"policy": obs["policy"][:, 0], "action_mask": obs["action_mask"][:, 0]}
        action = policy.act(rows, {}, torch.Generator(), deterministic=True).action
        step = env.step(action.view(16, 1, 1))
        rewards.append(float(step.reward.mean()))
        obs = step.obs
    assert np.mean(rewards) > 0.95  # guessing earns 0.25


def test_models_play_only_legal_actions_in_games_and_floats():
    for name in ("tic-tac-toe", "identity-heads", "identity-continuous"):
        env = make_env(name, 4)
        check_policy(SB3Policy(_model(env), env.spec), make_env(name, 4), num_steps=4)


def test_a_model_of_another_environment_is_refused():
    model = _model(make_env("identity", 4))
    with pytest.raises(ValueError, match="observation_space is Box"):
        SB3Policy(model, make_env("cart-pole", 1).spec)
