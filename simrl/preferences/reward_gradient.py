"""The Bradley-Terry gradient of plain reward ensembles worked out by hand.

On nets of a few thousand weights the time goes into calls and into memory, not into arithmetic:
here the rows of few pairs at a time stay in the cache, with as few calls as there can be.
`RewardTrainer.loss` says what the loss is; a test holds this file to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from simrl.preferences.losses import bradley_terry, bradley_terry_slope
from simrl.preferences.minibatch import Minibatch
from simrl.preferences.reward_model import RewardEnsemble

CHUNK_FLOATS = 131_072
"""Floats of one layer's output, over all members, that are held at a time."""

WORK = 65_536
"""Weights of a layer, over all members, up to which this is faster than autograd."""

_ACTIVATE: dict[str, Callable[[Tensor], object]] = {
    "relu": torch.relu_,
    "leaky_relu": lambda x: torch.maximum(x, 0.01 * x, out=x),
    "tanh": lambda x: np.tanh(x.numpy(), out=x.numpy()),  # takes a tenth of the time of torch's
}
_ops = torch.ops.aten
# Turn the gradient of an activation's output into that of its input, in place, from its output.
_BACKWARD: dict[str, Callable[[Tensor, Tensor], object]] = {
    "relu": lambda g, out: _ops.threshold_backward.grad_input(g, out, 0.0, grad_input=g),
    "leaky_relu": lambda g, out: _ops.leaky_relu_backward.grad_input(
        g, out, 0.01, True, grad_input=g
    ),
    "tanh": lambda g, out: _ops.tanh_backward.grad_input(g, out, grad_input=g),
}


class PlainGradient:
    """Compute loss and gradient of an ensemble of MLPs on flat observations, on the CPU."""

    def __init__(self, ensemble: RewardEnsemble) -> None:
        """Write into the `grad` of the parameters of `ensemble`, which must be there already.

        ValueError if `ensemble` is not plain, see `fits`.
        """
        if not self.fits(ensemble):
            raise ValueError("only small float32 MLPs on flat observations, on the CPU, are plain")
        self.ensemble = ensemble
        config = ensemble.config
        self.members = config.members
        self.widest = self.members * max(config.hidden)
        self.activate, self.through = _ACTIVATE[config.activation], _BACKWARD[config.activation]
        self.bounded = config.output == "tanh"
        self.weights = [weight.detach() for weight in ensemble.weights]
        self.biases = [bias.detach() for bias in ensemble.biases]
        self.weight_grads = [_grad(weight) for weight in ensemble.weights]
        self.bias_grads = [_grad(bias) for bias in ensemble.biases]
        self.absorbing_grad = _grad(ensemble.absorbing_raw)

    @staticmethod
    def fits(ensemble: RewardEnsemble) -> bool:
        """Say whether `ensemble` is made of small plain float32 MLPs on the CPU."""
        weight = ensemble.weights[0]
        return (
            ensemble.plain
            and len(ensemble.config.hidden) > 0
            and weight.is_cpu
            and weight.dtype == torch.float32
            and max(weight.numel() for weight in ensemble.weights) <= WORK
        )

    @torch.no_grad()
    def fill(self, batch: Minibatch, noise: float) -> tuple[Tensor, Tensor]:
        """Add the gradient of a minibatch to the parameters' and return what `loss` does."""
        size = len(batch.label)
        steps = batch.x.shape[0] // (2 * size)
        most = max(1, CHUNK_FLOATS // (self.widest * 2 * steps))
        pairs = math.ceil(size / math.ceil(size / most))  # parts of about the same size
        x = batch.x.view(2, size, steps, -1)
        logits = []
        for start in range(0, size, pairs):
            part = slice(start, start + pairs)
            mask = None if batch.mask is None else batch.mask.view(2, size, steps)[:, part]
            absorbed = None if batch.absorbed is None else batch.absorbed.view(2, size)[:, part]
            label, weight = batch.label[part], batch.weight[:, part]
            logit = self._part(x[:, part], mask, absorbed, label, weight, noise)
            logits.append(logit)
        logit = torch.cat(logits, 1)
        return (bradley_terry(logit, batch.label, noise) * batch.weight).sum(), logit

    def _part(
        self,
        x: Tensor,
        mask: Tensor | None,
        absorbed: Tensor | None,
        label: Tensor,
        weight: Tensor,
        noise: float,
    ) -> Tensor:
        """Add the gradient of few pairs `x` `[2, B, L, inputs]`; return their logits `[E, B]`."""
        shape = (self.members, *x.shape[:3])
        rows = x.reshape(-1, x.shape[-1])
        outputs = self._forward(rows)
        rewards = outputs.pop().view(shape)
        counted = rewards if mask is None else rewards * mask
        returns = counted.sum(-1)  # [E, 2, B]
        if absorbed is not None:
            raw = self.ensemble.absorbing()
            returns += raw[:, None, None] * absorbed
        logit = returns[:, 0] - returns[:, 1]
        slope = bradley_terry_slope(logit, label, noise) * weight
        grad_returns = torch.stack([slope, -slope], 1)
        grad = grad_returns[..., None]
        if self.bounded:
            grad = grad * (1.0 - rewards.square())
        if mask is not None:
            grad = grad * mask
        if absorbed is not None:
            inner = 1.0 - raw.square() if self.bounded else torch.ones_like(raw)
            self.absorbing_grad += (grad_returns * absorbed).sum((1, 2)) * inner
        self._backward(rows, outputs, grad.expand(shape).reshape(self.members, 1, -1))
        return logit

    def _forward(self, rows: Tensor) -> list[Tensor]:
        """Return the output of every layer, each `[E, width, R]`."""
        count, inputs = rows.shape
        first = torch.mm(self.weights[0].view(-1, inputs), rows.t()).view(self.members, -1, count)
        first += self.biases[0]
        outputs = [first]
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            self.activate(outputs[-1])
            outputs.append(torch.baddbmm(bias, weight, outputs[-1]))
        if self.bounded:
            _ACTIVATE["tanh"](outputs[-1])
        return outputs

    def _backward(self, rows: Tensor, outputs: list[Tensor], grad: Tensor) -> None:
        """Add all weights' gradients, given that of the last layer's output `[E, 1, R]`."""
        for index in range(len(self.weights) - 1, 0, -1):
            inputs = outputs[index - 1]
            self.weight_grads[index].baddbmm_(grad, inputs.transpose(1, 2))
            self.bias_grads[index] += grad.sum(-1, keepdim=True)
            weight = self.weights[index].transpose(1, 2)
            grad = weight * grad if index == len(self.weights) - 1 else torch.bmm(weight, grad)
            self.through(grad, inputs)
        flat = grad.view(-1, grad.shape[-1])
        # Written as flat @ rows, this product of a wide and a narrow matrix is 5 times slower.
        self.weight_grads[0].view(-1, rows.shape[-1]).add_(torch.mm(rows.t(), flat.t()).t())
        self.bias_grads[0] += grad.sum(-1, keepdim=True)


def _grad(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        raise ValueError("the parameters need gradients to write into")
    return parameter.grad
