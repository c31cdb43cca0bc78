"""Cart-pole against gymnasium's CartPole-v1."""

import gymnasium
import numpy as np
import pytest
import torch

from simrl.core.plugins import env_plugin, make_env, make_scripted


def test_dynamics_and_termination_match_gymnasium():
    env = make_env("cart-pole", 64)
    obs = env.reset(1)["policy"][:, 0].double().numpy()
    judge = gymnasium.make("CartPole-v1").unwrapped
    judge.reset(seed=0)
    # Read each row's exact start back from its record: the four float64 after 16 bytes of head.
    starts = env.snapshot()[:, 16:48].contiguous().numpy().view(np.float64)
    assert np.allclose(starts, obs, atol=1e-8)
    actions = np.random.default_rng(0).integers(0, 2, (80, 64))
    expected, ends = np.zeros((80, 64, 4)), np.full(64, 80)
    for row in range(64):
        judge.state, judge.steps_beyond_terminated = starts[row], None
        for t in range(80):
            seen, reward, terminated, _, _ = judge.step(int(actions[t, row]))
            expected[t, row] = seen
            assert reward == 1.0
            if terminated:
                ends[row] = t
                break
    alive = np.ones(64, bool)
    for t in range(80):
        step = env.step(torch.from_numpy(actions[t]).view(64, 1, 1))
        done = step.terminated.numpy()
        shown = np.where(done[:, None], step.final_obs["policy"][:, 0], step.obs["policy"][:, 0])
        assert np.abs(shown - expected[t])[alive].max() < 1e-6
        assert (done[alive] == (ends[alive] == t)).all()
        assert (step.reward == 1.0).all()
        alive &= ~done
        if not alive.any():
            break
    assert (ends < 80).sum() > 50  # most random episodes end within 80 steps


def test_starts_are_uniform_within_five_hundredths():
    start = make_env("cart-pole", 4000).reset(5)["policy"][:, 0].numpy()
    assert start.min() >= -0.05 and start.max() < 0.05
    # A uniform over a width of 0.1 has mean 0 and standard deviation 0.1 / sqrt(12) = 0.02887.
    assert np.abs(start.mean(0)).max() < 0.002
    assert np.abs(start.std(0) - 0.02887).max() < 0.001
    assert np.abs(np.corrcoef(start.T) - np.eye(4)).max() < 0.06


def test_balanced_pole_is_truncated_at_500():
    env, policy = make_env("cart-pole", 8), make_scripted("cart-pole", "balance")
    obs = env.reset(0)
    for _ in range(499):
        action = policy.act({"policy": obs["policy"][:, 0]}, {}, torch.Generator()).action
        step = env.step(action.view(8, 1, 1))
        assert not step.done.any()
        obs = step.obs
    step = env.step(torch.zeros(8, 1, 1, dtype=torch.int64))
    assert step.truncated.all() and not step.terminated.any()
    assert step.obs["policy"].abs().max() <= 0.05


@pytest.mark.parametrize("value", [-1, 2])
def test_illegal_push_names_the_row(value):
    env = make_env("cart-pole", 3)
    env.reset(0)
    action = torch.zeros(3, 1, 1, dtype=torch.int64)
    action[2] = value
    with pytest.raises(ValueError, match=f"environment 2, agent 0: value {value} of head 'push'"):
        env.step(action)


def test_general_path_agrees_with_the_kernel():
    """The dynamics function goes through the shared toy code, the environment through its own."""
    plugin = env_plugin("cart-pole")
    env = plugin.make(plugin.config(), 16)
    env.reset(2)
    dynamics = plugin.dynamics(plugin.config())
    rng = torch.Generator().manual_seed(0)
    for _ in range(60):
        state, action = env.snapshot(), torch.randint(0, 2, (16, 1, 1), generator=rng)
        after, _, discount = dynamics.step(state, action)
        step = env.step(action)
        going = ~step.done
        assert torch.equal(after[going], step.obs["state"][going])
        assert torch.equal(after[~going], step.final_obs["state"][~going])
        assert torch.equal(discount == 0, step.terminated)
