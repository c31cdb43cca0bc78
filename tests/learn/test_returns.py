"""Advantages and bootstrap values by hand arithmetic."""

import pytest
import torch

from simrl.core.actions import DiscreteActions, Head
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl.learn.returns import gae, group_weights, grouped_rewards, next_values
from simrl.rollout.buffer import RolloutBuffer


def make_buffer(reward, value, *, terminated=(), truncated=(), terms=None):
    """Make a buffer of one lane from lists over time."""
    steps = len(reward)
    flags = torch.zeros(2, steps, 1, dtype=torch.bool)
    flags[0, list(terminated), 0] = True
    flags[1, list(truncated), 0] = True
    return RolloutBuffer(
        lanes=torch.zeros(1, 2, dtype=torch.int64),
        obs={},
        action=torch.zeros(steps, 1, 1, dtype=torch.int64),
        log_prob=torch.zeros(steps, 1),
        value=torch.tensor(value)[:, None, None],
        reward=torch.tensor(reward)[:, None],
        reward_terms=terms,
        terminated=flags[0],
        truncated=flags[1],
        episode_start=torch.zeros(steps, 1, dtype=torch.bool),
        start_state={},
        final_index=torch.tensor([[t, 0] for t in truncated], dtype=torch.int64).reshape(-1, 2),
        final_obs={},
        final_state={},
        next_obs={},
        next_state={},
    )


def advantages(buffer, last, final=(), gamma=0.5, gae_lambda=0.5):
    final_value = torch.tensor(final, dtype=torch.float32).reshape(-1, 1)
    following = next_values(buffer.value, torch.tensor([[last]]), buffer, final_value)
    done = buffer.terminated | buffer.truncated
    reward = buffer.reward.unsqueeze(-1)
    result = gae(reward, buffer.value, following, done, gamma, gae_lambda)
    double = gae(
        reward.double(), buffer.value.double(), following.double(), done, gamma, gae_lambda
    )
    assert torch.allclose(result.double(), double, atol=1e-5)
    return result.flatten().tolist()


def test_running_episode_bootstraps_from_the_next_observation():
    buffer = make_buffer([1.0, 2.0, 3.0], [10.0, 20.0, 30.0])
    # delta_2 = 3 + 0.5 * 40 - 30 = -7; delta_1 = 2 + 15 - 20 = -3; delta_0 = 1 + 10 - 10 = 1
    # A_2 = -7; A_1 = -3 + 0.25 * -7 = -4.75; A_0 = 1 + 0.25 * -4.75 = -0.1875
    assert advantages(buffer, last=40.0) == pytest.approx([-0.1875, -4.75, -7.0])


def test_termination_is_worth_nothing_more():
    buffer = make_buffer([1.0, 2.0, 3.0], [10.0, 20.0, 30.0], terminated=[1])
    # delta_1 = 2 + 0 - 20 = -18, and nothing of step 2 leaks back; A_0 = 1 + 0.25 * -18 = -3.5
    assert advantages(buffer, last=40.0) == pytest.approx([-3.5, -18.0, -7.0])


def test_truncation_bootstraps_from_the_final_observation():
    buffer = make_buffer([1.0, 2.0, 3.0], [10.0, 20.0, 30.0], truncated=[1])
    # delta_1 = 2 + 0.5 * 100 - 20 = 32, with V(final_obs) = 100 and not V(s_2) = 30
    # A_0 = 1 + 0.25 * 32 = 9
    assert advantages(buffer, last=40.0, final=[100.0]) == pytest.approx([9.0, 32.0, -7.0])


def test_truncation_at_the_end_of_the_chunk():
    buffer = make_buffer([1.0, 2.0], [10.0, 20.0], truncated=[1])
    # The next observation is a new episode's (value 1000): it must not be used.
    # delta_1 = 2 + 0.5 * 6 - 20 = -15; A_0 = 1 + 10 - 10 + 0.25 * -15 = -2.75
    assert advantages(buffer, last=1000.0, final=[6.0]) == pytest.approx([-2.75, -15.0])


def test_lambda_one_is_the_monte_carlo_return():
    buffer = make_buffer([1.0, 2.0, 4.0], [5.0, 6.0, 7.0], terminated=[2])
    # returns 1 + 2 + 4 = 7, 6 and 4, less the values
    result = advantages(buffer, last=9.0, gamma=1.0, gae_lambda=1.0)
    assert result == pytest.approx([2.0, 0.0, -3.0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_group_may_have_its_own_discount(dtype):
    reward = torch.tensor([[[1.0, 1.0]], [[4.0, 4.0]]], dtype=dtype)
    value, done = torch.zeros_like(reward), torch.zeros(2, 1, dtype=torch.bool)
    # 1 + 0.5 * 4 = 3 and 1 + 0.25 * 4 = 2
    result = gae(reward, value, value, done, torch.tensor([0.5, 0.25]), 1.0)
    assert result.tolist() == [[[3.0, 2.0]], [[4.0, 4.0]]]


SPEC = EnvSpec(
    "game",
    1,
    {"policy": Layout((vector("x", Column("x")),))},
    DiscreteActions((Head("action", 2),)),
    reward_terms=("gold", "kill", "xp"),
    reward_weights=(0.5, 2.0, 0.25),
    reward_groups=("farm", "fight", "farm"),
)


def test_rewards_are_summed_by_group():
    terms = torch.tensor([[[4.0, 1.0, 8.0]], [[0.0, -3.0, 2.0]]])
    buffer = make_buffer([6.0, -5.5], [0.0, 0.0], terms=terms)
    # farm: 0.5 * 4 + 0.25 * 8 = 4, then 0.5; fight: 2 * 1 = 2, then -6
    grouped = grouped_rewards(SPEC, buffer)
    assert grouped.tolist() == [[[4.0, 2.0]], [[0.5, -6.0]]]
    assert torch.equal(grouped.sum(-1), buffer.reward)
    assert group_weights(SPEC).tolist() == [[0.5, 0.0], [0.0, 2.0], [0.25, 0.0]]


def test_several_groups_need_terms():
    with pytest.raises(ValueError, match="farm, fight"):
        grouped_rewards(SPEC, make_buffer([1.0], [0.0]))
