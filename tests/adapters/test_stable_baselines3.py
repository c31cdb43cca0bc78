"""Stable-baselines3 trains on our environments, and its models play in them."""

import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3")
from gymnasium import spaces
from stable_baselines3 import DDPG, PPO
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from simrl.adapters.gymnasium import SingleAgentGym
from simrl.adapters.sb3_extractor import PartsExtractor
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


def _camera(num_envs):
    return make_env("car-lane", num_envs, observations="camera", num_obstacles=0, max_steps=20)


def test_parts_show_the_picture_and_the_true_last_one():
    env = SB3VecEnv(_camera(2), parts=True)
    seen = env.reset()
    assert env.observation_space.contains({name: value[0] for name, value in seen.items()})
    action = np.tile(np.array([1.0, 0.1], np.float32), (2, 1))
    for _ in range(20):
        before, (seen, _, done, infos) = seen, env.step(action)
    assert done.all() and infos[1]["TimeLimit.truncated"]
    last = infos[1]["terminal_observation"]
    # One step further than what was seen before it, and not the next episode's first picture.
    assert last["car"][0] == pytest.approx(before["car"][1, 0] + 0.05, abs=1e-4)
    assert last["car"][1] == pytest.approx(0.1 * 20 * 0.05, abs=1e-4)
    assert seen["car"][1, 1] == 0.0 and (last["camera"] != seen["camera"][1]).any()


def test_extractor_scales_numbers_and_tells_pictures_apart():
    space = spaces.Dict(
        {
            "a": spaces.Box(np.array([0.0, -1.0], np.float32), np.array([10.0, 1.0], np.float32)),
            "eye": spaces.Box(0, 255, (1, 8, 16), np.uint8),
        }
    )
    torch.manual_seed(0)
    encoder = PartsExtractor(space, channels=(4, 8), picture_width=5)
    assert encoder.features_dim == 7
    seen = {"a": torch.tensor([[0.0, 0.5], [10.0, -1.0]]), "eye": torch.zeros(2, 1, 8, 16)}
    seen["eye"][1, 0, :, 8:] = 1.0
    features = encoder(seen)
    assert features[:, 5:].tolist() == [[-1.0, 0.5], [1.0, -1.0]]
    assert (features[0, :5] - features[1, :5]).abs().max() > 0.1


def test_a_model_of_pictures_trains_and_plays():
    env = _camera(4)
    model = DDPG(
        "MultiInputPolicy",
        SB3VecEnv(env, parts=True),
        learning_starts=20,
        batch_size=16,
        buffer_size=100,
        policy_kwargs={
            "features_extractor_class": PartsExtractor,
            "features_extractor_kwargs": {"channels": (4, 4)},
            "net_arch": [16],
        },
        seed=0,
        device="cpu",
    )
    before = {name: value.clone() for name, value in model.actor.named_parameters()}
    model.learn(60)
    changed = [
        name for name, value in model.actor.named_parameters() if (value != before[name]).any()
    ]
    assert any("pictures" in name for name in changed)
    check_policy(SB3Policy(model, env.spec), _camera(3), num_steps=4)
    with pytest.raises(ValueError, match="observation_space is Dict"):
        SB3Policy(model, make_env("car-lane", 1).spec)
