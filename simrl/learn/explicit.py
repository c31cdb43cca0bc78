"""The PPO gradient of plain MLPs worked out by hand: the same numbers as autograd, in fewer calls.

`simrl.learn.losses` says what the loss is; a test holds this file to it.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn

from simrl.learn.batch import Minibatch
from simrl.nn.actor_critic import ActorCritic
from simrl.nn.distributions import MaskedHeads, Pullback
from simrl.nn.plain import PlainNet

FIGURES = ("policy", "value", "approx_kl", "clip_fraction", "entropy")


class ExplicitGradient:
    """Compute the gradient of a plain network's loss from a minibatch.

    All parameters move into one flat tensor, `weights`, so that the optimiser has one tensor to
    step, and all gradients into its `grad`.
    """

    def __init__(self, net: ActorCritic) -> None:
        """Make every parameter of `net` a view of `weights`; ValueError if `net` is not plain."""
        self.net = net
        self.plain = PlainNet(net)
        parameters = list(net.parameters())
        with torch.no_grad():
            flat = torch.cat([parameter.flatten() for parameter in parameters])
        self.weights = nn.Parameter(flat)
        self.grad = torch.zeros_like(flat)
        self.weights.grad = self.grad
        sizes = [parameter.numel() for parameter in parameters]
        parts = zip(parameters, flat.split(sizes), self.grad.split(sizes), strict=True)
        for parameter, values, grads in parts:
            parameter.data = values.view_as(parameter)
            parameter.grad = grads.view_as(parameter)

    def fill(
        self,
        batch: Minibatch,
        value_weights: Tensor,
        *,
        clip: float,
        dual_clip: float | None,
        value_clip: float | None,
        value_coef: float,
        entropy_coef: float,
    ) -> dict[str, float]:
        """Compute loss and gradient of a minibatch; return the parts named by `FIGURES`.

        value_weights: weight of each value group in the loss `[V]`.  None of the clips is off.
        """
        obs = {name: value.flatten(0, 1) for name, value in batch.obs.items()}
        with torch.no_grad():
            logits, value = self.plain.forward(obs)
        dist = self.net.distribution(logits, obs.get("action_mask"))
        if isinstance(dist, MaskedHeads):
            log_prob, entropy, pull = dist.pullback(batch.action)
        else:
            log_prob, entropy, pull = self._pullback(logits, batch.action)
        grad_log_prob, grad_value = torch.empty_like(batch.log_prob), torch.empty_like(value)
        figures = np.zeros(4)
        _loss_gradient(
            log_prob.numpy(),
            batch.log_prob.numpy(),
            batch.advantage.numpy(),
            value.numpy(),
            batch.value.numpy(),
            batch.returns.numpy(),
            value_weights.numpy(),
            self.net.value_scale.numpy(),
            clip,
            math.inf if dual_clip is None else dual_clip,
            math.inf if value_clip is None else value_clip,
            grad_log_prob.numpy(),
            grad_value.numpy(),
            figures,
        )
        grad_entropy = torch.full_like(grad_log_prob, -entropy_coef / len(grad_log_prob))
        grad_logits = pull(grad_log_prob, grad_entropy)
        with torch.no_grad():
            self.plain.backward(grad_logits, grad_value.mul_(value_coef))
        return dict(zip(FIGURES, [*figures.tolist(), float(entropy.mean())], strict=True))

    def clip_norm(self, limit: float) -> float:
        """Scale the gradient down to norm `limit` and return the norm that it had."""
        norm = float(torch.linalg.vector_norm(self.grad))
        if norm > limit:
            self.grad.mul_(limit / (norm + 1e-6))
        return norm

    def _pullback(self, mean: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Pullback]:
        """Do for a Gaussian, by autograd, what `MaskedHeads.pullback` does; sets log_std's grad."""
        leaf, log_std = mean.detach().requires_grad_(), self.net.log_std
        log_prob, entropy = self.net.distribution(leaf, None).evaluate(action)

        def pull(grad_log_prob: Tensor, grad_entropy: Tensor) -> Tensor:
            grads = torch.autograd.grad(
                [log_prob, entropy], [leaf, log_std], [grad_log_prob, grad_entropy]
            )
            if log_std.grad is not None:
                log_std.grad.copy_(grads[1])
            return grads[0]

        return log_prob.detach(), entropy.detach(), pull


@njit(cache=True, nogil=True)
def _loss_gradient(
    log_prob: np.ndarray,
    old_log_prob: np.ndarray,
    advantage: np.ndarray,
    value: np.ndarray,
    old_value: np.ndarray,
    returns: np.ndarray,
    weights: np.ndarray,
    scale: np.ndarray,
    clip: float,
    dual_clip: float,
    value_clip: float,
    grad_log_prob: np.ndarray,
    grad_value: np.ndarray,
    figures: np.ndarray,
) -> None:
    """Write the gradient of policy and value loss, and add up the figures.

    log_prob, old_log_prob, advantage, grad_log_prob: `[R]`; value, old_value, returns, grad_value:
    `[R, V]`; weights, scale: `[V]`.  `weights` multiply the value loss of each group, in
    `grad_value` too.  figures: policy loss, value loss, k3 estimate of KL, share of clipped ratios.
    """
    num_rows, num_values = value.shape
    for row in range(num_rows):
        log_ratio = log_prob[row] - old_log_prob[row]
        ratio = math.exp(log_ratio)
        gain = advantage[row]
        objective = ratio * gain
        slope = objective  # d(ratio A) / d log_prob
        # Compare ratios, not objectives: rounding must not decide where both are equal.
        if gain >= 0.0 and ratio > 1.0 + clip:
            objective, slope = (1.0 + clip) * gain, 0.0
        elif gain < 0.0 and ratio < 1.0 - clip:
            objective, slope = (1.0 - clip) * gain, 0.0
        elif gain < 0.0 and ratio > dual_clip:
            objective, slope = dual_clip * gain, 0.0
        grad_log_prob[row] = -slope / num_rows
        figures[0] -= objective / num_rows
        figures[2] += (math.expm1(log_ratio) - log_ratio) / num_rows
        if abs(ratio - 1.0) > clip:
            figures[3] += 1.0 / num_rows
        for group in range(num_values):
            unit = scale[group]
            error = (value[row, group] - returns[row, group]) / unit
            inner = 1.0
            moved = (value[row, group] - old_value[row, group]) / unit
            if abs(moved) > value_clip:
                bound = value_clip if moved > 0.0 else -value_clip
                near = (old_value[row, group] - returns[row, group]) / unit + bound
                if near * near > error * error:
                    error, inner = near, 0.0
            figures[1] += 0.5 * error * error * weights[group] / num_rows
            grad_value[row, group] = inner * error * weights[group] / (unit * num_rows)
