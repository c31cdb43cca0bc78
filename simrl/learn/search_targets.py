"""What learning from a search minimises: functions of tensors and nothing else.

Silver et al. 2018, "A general reinforcement learning algorithm that masters chess, shogi, and Go
through self-play": the policy is trained towards what the search preferred, and the value towards
how the game ended.
"""

from __future__ import annotations

import torch
from torch import Tensor


def search_policy_loss(log_probs: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy -sum_k target_k log p_k of each row `[R]` [nat].

    log_probs: `[R, K]`, which may be -inf where `target` `[R, K]` is 0: what is not legal.
    """
    return -torch.where(target > 0, target * log_probs, 0.0).sum(-1)


def target_entropy(target: Tensor) -> Tensor:
    """Return the entropy of each target `[R]` [nat]: the least that the policy loss can be."""
    return torch.special.entr(target).sum(-1)


def mixed_value_target(outcome: Tensor, search_value: Tensor, share: float) -> Tensor:
    """Return (1 - share) outcome + share search_value, each `[R]`.

    The outcome is unbiased but decided by every later move; the search's value is what the search
    thought, with little noise.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"the share of the search's value must be from 0 to 1, got {share}")
    return torch.lerp(outcome, search_value, share)


def search_value_loss(value: Tensor, target: Tensor) -> Tensor:
    """Return the squared error of each value `[R]`."""
    return (value - target).square()


def outcome_returns(rewards: Tensor, gamma: float) -> Tensor:
    """Return the discounted rewards of each agent from each step to the end `[T, A]`.

    rewards: `[T, A]` of one whole episode.
    """
    result = torch.empty_like(rewards)
    ahead = torch.zeros_like(rewards[0])
    for t in range(len(rewards) - 1, -1, -1):
        ahead = rewards[t] + gamma * ahead
        result[t] = ahead
    return result
