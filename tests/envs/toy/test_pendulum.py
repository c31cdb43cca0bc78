"""Pendulum against gymnasium's Pendulum-v1."""

import gymnasium
import numpy as np
import pytest
import torch

from simrl.core.plugins import env_plugin, make_env, make_scripted


def test_every_step_matches_gymnasium():
    env = make_env("pendulum", 16)
    env.reset(1)
    # The record: 16 bytes of head, then angle and speed as float64.
    starts = env.snapshot()[:, 16:32].contiguous().numpy().view(np.float64)
    judge = gymnasium.make("Pendulum-v1").unwrapped
    judge.reset(seed=0)
    # Some torques lie beyond the limits of 2 N m, which both must clip.
    torques = np.random.default_rng(0).uniform(-3.0, 3.0, (150, 16)).astype(np.float32)
    torques[:, :4] = 2.0  # the same way all the time: it whirls up to the limit of the speed
    expected, costs = np.zeros((150, 16, 3)), np.zeros((150, 16))
    for row in range(16):
        judge.state = starts[row].copy()
        for t in range(150):
            # As float64: gymnasium keeps the precision of what it is handed.
            torque = torques[t, row : row + 1].astype(np.float64)
            expected[t, row], costs[t, row], *_ = judge.step(torque)
    for t in range(150):
        step = env.step(torch.from_numpy(torques[t]).view(16, 1, 1))
        assert np.abs(step.obs["policy"][:, 0].numpy() - expected[t]).max() < 1e-6
        assert np.abs(step.reward[:, 0].numpy() - costs[t]).max() < 2e-6  # float32, up to 16
        assert not step.done.any()
    assert np.abs(expected[:, :4, 2]).max() == 8.0  # the clip of the speed was met


def test_starts_are_uniform_over_the_circle():
    start = make_env("pendulum", 4000).reset(5)["policy"][:, 0].numpy()
    angle = np.arctan2(start[:, 1], start[:, 0])
    # Uniform over 2 pi: mean 0, deviation pi / sqrt(3) = 1.8138; over 2 rad/s: 1 / sqrt(3).
    assert abs(angle.mean()) < 0.1 and abs(angle.std() - 1.8138) < 0.05
    assert np.abs(start[:, 2]).max() <= 1.0 and abs(start[:, 2].std() - 0.57735) < 0.02


def test_an_episode_is_truncated_at_200_and_shows_its_last_state():
    env = make_env("pendulum", 3)
    env.reset(0)
    still = torch.zeros(3, 1, 1)
    for _ in range(199):
        assert not env.step(still).done.any()
    before = env.snapshot()
    step = env.step(still)
    assert step.truncated.all() and not step.terminated.any()
    plugin = env_plugin("pendulum")
    after = plugin.dynamics(plugin.config()).step(before, still)[0]
    angle = after[:, 16:24].contiguous().numpy().view(np.float64)[:, 0]
    assert np.allclose(step.final_obs["policy"][:, 0, 0], np.cos(angle), atol=1e-6)
    assert step.obs["policy"][:, 0, 2].abs().max() <= 1.0


def test_a_torque_that_is_not_finite_names_the_row():
    env = make_env("pendulum", 3)
    env.reset(0)
    action = torch.zeros(3, 1, 1)
    action[2] = torch.nan
    before = env.snapshot()
    with pytest.raises(ValueError, match="environment 2, agent 0: index 0 of the action is nan"):
        env.step(action)
    assert torch.equal(env.snapshot(), before)


def test_general_path_agrees_with_the_kernel():
    plugin = env_plugin("pendulum")
    env = plugin.make(plugin.config(), 16)
    env.reset(2)
    dynamics = plugin.dynamics(plugin.config())
    rng = torch.Generator().manual_seed(0)
    for _ in range(30):
        state, action = env.snapshot(), 3.0 * torch.randn(16, 1, 1, generator=rng)
        after, reward, discount = dynamics.step(state, action)
        step = env.step(action)
        assert torch.equal(after, step.obs["state"])
        assert torch.equal(reward, step.reward) and bool((discount == 1).all())


def test_the_energy_rule_swings_up():
    env, policy = make_env("pendulum", 64), make_scripted("pendulum", "swing")
    obs, total = env.reset(0), torch.zeros(64)
    for _ in range(200):
        action = policy.act({"policy": obs["policy"][:, 0]}, {}, torch.Generator()).action
        step = env.step(action.view(64, 1, 1))
        obs, total = step.obs, total + step.reward[:, 0]
    upright = step.final_obs["policy"][:, 0, 0]
    assert (upright > 0.99).float().mean() > 0.95
    # Hanging still costs pi^2 a step, -1974 an episode; a solved pendulum is near -150.
    assert total.mean() > -300
