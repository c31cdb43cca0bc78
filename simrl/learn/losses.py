"""The terms of the PPO objective, each a function of tensors and nothing else."""

from __future__ import annotations

import torch
from torch import Tensor


def policy_loss(
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantage: Tensor,
    clip: float,
    dual_clip: float | None = None,
) -> Tensor:
    """Return the clipped policy loss of each sample `[R]`.

    With r = exp(log_prob - old_log_prob): -min(r A, clamp(r, 1 - clip, 1 + clip) A) (Schulman et
    al. 2017, "Proximal Policy Optimization Algorithms", equation 7).  With `dual_clip` c > 1, the
    objective of a negative advantage is at least c A (Ye et al. 2020, "Mastering Complex Control in
    MOBA Games with Deep Reinforcement Learning", equation 5), so one unlucky sample whose
    ratio has grown large cannot dominate the batch.
    """
    ratio = torch.exp(log_prob - old_log_prob)
    clipped = ratio.clamp(1.0 - clip, 1.0 + clip)
    objective = torch.minimum(ratio * advantage, clipped * advantage)
    if dual_clip is not None:
        bounded = torch.maximum(objective, dual_clip * advantage)
        objective = torch.where(advantage < 0, bounded, objective)
    return -objective


def value_loss(
    value: Tensor, old_value: Tensor, returns: Tensor, clip: float | None = None
) -> Tensor:
    """Return half the squared error of each value, the same shape as `value`.

    With `clip`, the larger of that and the error of the value kept within ±clip of `old_value`, as
    in the reference implementation of PPO.
    """
    error = (value - returns).square()
    if clip is not None:
        near = old_value + (value - old_value).clamp(-clip, clip)
        error = torch.maximum(error, (near - returns).square())
    return 0.5 * error


def approx_kl(log_prob: Tensor, old_log_prob: Tensor) -> Tensor:
    """Return the estimate (r - 1) - log r of KL(old || new) [nat], a scalar.

    It is unbiased and never negative (Schulman 2020, "Approximating KL divergence", k3).
    """
    log_ratio = log_prob - old_log_prob
    return (torch.expm1(log_ratio) - log_ratio).mean()


def clip_fraction(log_prob: Tensor, old_log_prob: Tensor, clip: float) -> Tensor:
    """Return the share of samples whose ratio has left [1 - clip, 1 + clip], a scalar."""
    ratio = torch.exp(log_prob - old_log_prob)
    return ((ratio - 1.0).abs() > clip).float().mean()


def explained_variance(value: Tensor, returns: Tensor) -> Tensor:
    """Return 1 - Var(returns - value) / Var(returns), a scalar: 1 is perfect, 0 knows nothing.

    NaN where the returns do not vary.
    """
    return 1.0 - (returns - value).var() / returns.var()


def normalised(advantage: Tensor, epsilon: float = 1e-8) -> Tensor:
    """Return `advantage` shifted and scaled to mean 0 and deviation 1."""
    return (advantage - advantage.mean()) / (advantage.std(unbiased=False) + epsilon)
