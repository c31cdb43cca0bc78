"""Rewards by group, bootstrap values and generalised advantage estimation."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor

from simrl.core.spec import EnvSpec
from simrl.nn.actor_critic import ActorCritic
from simrl.rollout.buffer import RolloutBuffer


def group_weights(spec: EnvSpec) -> Tensor:
    """Return the matrix `[R, V]` that turns reward terms into the rewards of the value groups."""
    weights = torch.zeros(len(spec.reward_terms), len(spec.value_groups))
    for row, (weight, group) in enumerate(
        zip(spec.reward_weights, spec.reward_groups, strict=True)
    ):
        weights[row, spec.value_groups.index(group)] = weight
    return weights


def grouped_rewards(spec: EnvSpec, buffer: RolloutBuffer) -> Tensor:
    """Return the reward of each value group `[T, L, V]`: the sum of weight * term over its terms.

    With one group it is the reward itself.  Raises ValueError if there are several groups but the
    buffer holds no terms.
    """
    if len(spec.value_groups) == 1:
        return buffer.reward.unsqueeze(-1)
    if buffer.reward_terms is None:
        raise ValueError(
            f"{spec.id} has the reward groups {', '.join(spec.value_groups)}, but the buffer has "
            "no reward_terms to split its reward by"
        )
    return buffer.reward_terms @ group_weights(spec).to(buffer.reward_terms.device)


def next_values(
    value: Tensor, last_value: Tensor, buffer: RolloutBuffer, final_value: Tensor
) -> Tensor:
    """Return the value that follows each step `[T, L, V]`.

    Within an episode it is the value of the next step; after the last step of the chunk,
    `last_value` `[L, V]`; where a time limit cut the episode, `final_value` `[K, V]`, the value of
    the observation before the reset; where the task ended, 0.  Never a new episode's.
    """
    result = torch.cat([value[1:], last_value.unsqueeze(0)])
    step, lane = buffer.final_index.unbind(-1)
    result[step, lane] = final_value
    return result.masked_fill_(buffer.terminated.unsqueeze(-1), 0.0)


def advantages(
    net: ActorCritic,
    buffer: RolloutBuffer,
    reward: Tensor,
    gamma: float | Tensor,
    gae_lambda: float,
) -> Tensor:
    """Return the advantages `[T, L, V]` of what `net` collected; with its values they are returns.

    reward: those of each value group `[T, L, V]`; gamma, gae_lambda: see `gae`.
    """
    with torch.no_grad():
        last_value = net.value(buffer.next_obs, buffer.next_state)
        if len(buffer.final_index):
            final_value = net.value(buffer.final_obs, buffer.final_state)
        else:
            final_value = last_value[:0]
    following = next_values(buffer.value, last_value, buffer, final_value)
    done = buffer.terminated | buffer.truncated
    return gae(reward, buffer.value, following, done, gamma, gae_lambda)


def gae(
    reward: Tensor,
    value: Tensor,
    next_value: Tensor,
    done: Tensor,
    gamma: float | Tensor,
    gae_lambda: float,
) -> Tensor:
    """Return generalised advantages `[T, L, V]` (Schulman et al. 2016, equation 16).

    A_t = delta_t + gamma lambda A_{t+1}, delta_t = r_t + gamma V_next_t - V_t; nothing crosses a
    step that is `done` `[T, L]`.  reward, value, next_value: `[T, L, V]`; gamma: one discount, or
    one for each value group `[V]`.
    """
    gamma = torch.as_tensor(gamma, dtype=reward.dtype, device=reward.device)
    gamma = gamma.expand(reward.shape[-1])
    if reward.is_cpu and reward.dtype == torch.float32:
        advantage = torch.empty(reward.shape)
        _gae(
            reward.contiguous().numpy(),
            value.contiguous().numpy(),
            next_value.contiguous().numpy(),
            done.contiguous().numpy(),
            gamma.contiguous().numpy(),
            np.float32(gae_lambda),
            advantage.numpy(),
        )
        return advantage
    delta = reward + gamma * next_value - value
    going = (~done).unsqueeze(-1).to(reward.dtype) * gamma * gae_lambda
    advantage = torch.empty_like(delta)
    following = torch.zeros_like(delta[0])
    for step in range(len(delta) - 1, -1, -1):
        following = delta[step] + going[step] * following
        advantage[step] = following
    return advantage


@njit(cache=True, nogil=True)
def _gae(
    reward: np.ndarray,
    value: np.ndarray,
    next_value: np.ndarray,
    done: np.ndarray,
    gamma: np.ndarray,
    gae_lambda: np.float32,
    advantage: np.ndarray,
) -> None:
    """Fill `advantage` `[T, L, V]` backwards in time."""
    num_steps, num_lanes, num_values = reward.shape
    for step in range(num_steps - 1, -1, -1):
        for lane in range(num_lanes):
            carry = step + 1 < num_steps and not done[step, lane]
            for group in range(num_values):
                total = (
                    reward[step, lane, group]
                    + gamma[group] * next_value[step, lane, group]
                    - value[step, lane, group]
                )
                if carry:
                    total += gamma[group] * gae_lambda * advantage[step + 1, lane, group]
                advantage[step, lane, group] = total
