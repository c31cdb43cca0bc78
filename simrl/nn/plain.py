"""Plain MLPs without autograd: forward in NumPy for a few rows, forward and backward in torch.

On nets of a few thousand weights the time goes into the calls, not into the arithmetic.  Here the
same weights, read in place from the torch layers, are used with as few calls as there can be.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from simrl.core.timestep import Obs
from simrl.nn.actor_critic import ActorCritic

NUMPY_WORK = 4 * 65536
"""Rows x inputs x outputs of a layer up to which OpenBLAS stays on one thread and NumPy wins."""

_ACTIVATE: dict[type[nn.Module], Callable[[np.ndarray], object]] = {
    nn.Tanh: lambda x: np.tanh(x, out=x),
    nn.ReLU: lambda x: np.maximum(x, 0.0, out=x),
    nn.LeakyReLU: lambda x: np.maximum(x, 0.01 * x, out=x),
}
# Gradient through the activation, from its output.
_BACKWARD: dict[type[nn.Module], Callable[[Tensor, Tensor], Tensor]] = {
    nn.Tanh: torch.ops.aten.tanh_backward,
    nn.ReLU: lambda grad, out: torch.ops.aten.threshold_backward(grad, out, 0.0),
    nn.LeakyReLU: lambda grad, out: torch.ops.aten.leaky_relu_backward(grad, out, 0.01, True),
}


class PlainTower:
    """Read one MLP: linear layers with an activation between each two, and a linear output."""

    def __init__(self, trunk: nn.Sequential, head: nn.Linear) -> None:
        """Take the layers of `trunk` and then `head`; their weights are not copied."""
        self.linears = [layer for layer in trunk if isinstance(layer, nn.Linear)] + [head]
        kinds = [type(layer) for layer in trunk if not isinstance(layer, nn.Linear)]
        self.kind = kinds[0] if kinds else nn.ReLU
        self.work = max(layer.in_features * layer.out_features for layer in self.linears)
        self._outputs: list[Tensor] = []
        self.bind()

    def bind(self) -> None:
        """Read the weights where they are now."""
        self._arrays = [
            (layer.weight.detach().numpy().T, layer.bias.detach().numpy()) for layer in self.linears
        ]
        self._weights = [(layer.weight.detach(), layer.bias.detach()) for layer in self.linears]

    def numpy(self, x: np.ndarray) -> np.ndarray:
        """Return the output `[R, outputs]` for `x` `[R, inputs]`, computed in NumPy."""
        activate = _ACTIVATE[self.kind]
        last = len(self._arrays) - 1
        for index, (weight, bias) in enumerate(self._arrays):
            x = x @ weight
            x += bias
            if index < last:
                activate(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for `x` and keep what `backward` needs; call it without autograd."""
        activate = _ACTIVATE[self.kind]  # NumPy's tanh takes a tenth of the time of torch's
        self._outputs = [x]
        last = len(self._weights) - 1
        for index, (weight, bias) in enumerate(self._weights):
            x = torch.addmm(bias, x, weight.t())
            if index < last:
                activate(x.numpy())
                self._outputs.append(x)
        return x

    def backward(self, grad: Tensor) -> None:
        """Write the gradients of all weights, given that of the last `forward`'s output."""
        through = _BACKWARD[self.kind]
        for index in range(len(self.linears) - 1, -1, -1):
            layer, inputs = self.linears[index], self._outputs[index]
            torch.mm(grad.t(), inputs, out=layer.weight.grad)
            torch.sum(grad, 0, out=layer.bias.grad)
            if index:
                grad = through(torch.mm(grad, layer.weight), inputs)


class PlainNet:
    """See an actor-critic made of plain MLPs on the CPU as its one or two towers."""

    def __init__(self, net: ActorCritic) -> None:
        """Read `net`; ValueError if it is not plain, see `fits`."""
        if not self.fits(net):
            raise ValueError("only MLPs on flat observations, without memory, on the CPU are plain")
        self.net = net
        self.actor = PlainTower(net.trunk, net.head)
        self.critic = None if net.critic is None else PlainTower(net.critic.trunk, net.critic.head)
        self._first = net.head.weight
        self._pointer = -1
        self._work = max(self.actor.work, 0 if self.critic is None else self.critic.work)
        self.bind()

    @staticmethod
    def fits(net: ActorCritic) -> bool:
        """Say whether `net` is made of plain float32 MLPs on the CPU and nothing else."""
        weights = net.head.weight
        return (
            net.memory is None
            and net.encoder.identity
            and (net.critic is None or net.critic.encoder.identity)
            and all(type(layer) in _BACKWARD or type(layer) is nn.Linear for layer in net.trunk)
            and weights.is_cpu
            and weights.dtype == torch.float32
        )

    def small(self, num_rows: int) -> bool:
        """Say whether `num_rows` are few enough for NumPy."""
        return num_rows * self._work <= NUMPY_WORK

    def bind(self) -> bool:
        """Follow the weights if they have moved; say whether they are still on the CPU."""
        pointer = self._first.data_ptr()
        if pointer != self._pointer:
            if not self._first.is_cpu:
                return False
            self._pointer = pointer
            self.actor.bind()
            if self.critic is not None:
                self.critic.bind()
            self._scale = (self.net.value_scale.numpy(), self.net.value_mean.numpy())
        return True

    def act(self, obs: Obs, *, need_value: bool = True) -> tuple[Tensor, Tensor | None]:
        """Return logits or means `[R, outputs]` and values `[R, V]`, computed in NumPy."""
        net = self.net
        x = obs["policy"]
        if net.normaliser is not None:
            x = net.normaliser(x)
        output = self.actor.numpy(x.numpy())
        if net.critic is None or self.critic is None:
            logits, value = output[:, : net.num_logits], output[:, net.num_logits :]
        else:
            logits = output
            if not need_value:
                return torch.from_numpy(logits), None
            inputs = x if net.critic.group == "policy" else obs[net.critic.group]
            if net.critic.normaliser is not None:
                inputs = net.critic.normaliser(obs[net.critic.group])
            value = self.critic.numpy(inputs.numpy())
        scale, mean = self._scale
        value = value * scale + mean
        return torch.from_numpy(logits), torch.from_numpy(value)

    def forward(self, obs: Obs) -> tuple[Tensor, Tensor]:
        """Return logits or means and values for `[R, D]`, and keep what `backward` needs."""
        net = self.net
        self.bind()
        x = obs["policy"] if net.normaliser is None else net.normaliser(obs["policy"])
        output = self.actor.forward(x)
        if net.critic is None or self.critic is None:
            logits, value = output[:, : net.num_logits], output[:, net.num_logits :]
        else:
            logits, inputs = output, obs[net.critic.group]
            if net.critic.normaliser is not None:
                inputs = net.critic.normaliser(inputs)
            value = self.critic.forward(inputs)
        return logits, value * net.value_scale + net.value_mean

    def backward(self, grad_logits: Tensor, grad_value: Tensor) -> None:
        """Write all gradients but that of `log_std`, given those of what `forward` returned."""
        grad_raw = grad_value * self.net.value_scale
        if self.critic is None:
            self.actor.backward(torch.cat([grad_logits, grad_raw], -1))
            return
        self.actor.backward(grad_logits)
        self.critic.backward(grad_raw)
