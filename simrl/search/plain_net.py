"""Read the weights of a plain actor-critic into the layout of the in-kernel network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from simrl.core.spec import EnvSpec, Layout, vector
from simrl.nn.actor_critic import ActorCritic
from simrl.nn.plain import PlainNet
from simrl.search.kernels.net import LEAKY_RELU, RELU, TANH, WIDTH, NetNumbers

_ACTIVATIONS = {nn.ReLU: RELU, nn.LeakyReLU: LEAKY_RELU, nn.Tanh: TANH}


def flat_spec(spec: EnvSpec) -> EnvSpec:
    """Return `spec` with "policy" as one vector block, whatever its tables and maps.

    An `ActorCritic` built for it is a plain MLP of all columns, which runs inside the kernels.
    """
    columns = [
        replace(block.columns[0], name=f"{block.name}[{index}]")
        for block in spec.observations["policy"].blocks
        for index in range(block.size)
    ]
    flat = Layout((vector("all", *columns),))
    return replace(spec, observations={**spec.observations, "policy": flat})


class KernelNet:
    """Keep a copy of a network's weights where kernels read them; `read` brings it up to date."""

    def __init__(self, net: ActorCritic) -> None:
        """Plan for `net`; ValueError if it is not plain, see `fits`."""
        if not self.fits(net):
            raise ValueError(
                "only plain MLPs on the CPU that see the group 'policy' run in kernels"
            )
        self.net = net
        towers = [_layers(net.trunk, net.head)]
        if net.critic is not None:
            towers.append(_layers(net.critic.trunk, net.critic.head))
        self._layers = [layer for tower in towers for layer in tower]
        ends = [tower[-1] for tower in towers]
        self._last = [layer in ends for layer in self._layers]
        plan, start = [], 0
        for layer, last in zip(self._layers, self._last, strict=True):
            outputs = layer.out_features if last else -(-layer.out_features // WIDTH) * WIDTH
            plan.append((layer.in_features, outputs, start))
            start += (layer.in_features + 1) * outputs
        kinds = [type(layer) for layer in net.trunk if not isinstance(layer, nn.Linear)]
        size = self._layers[0].in_features
        self.numbers = NetNumbers(
            weights=np.zeros(start, np.float32),
            plan=np.array(plan, np.int64),
            actor_layers=len(towers[0]),
            num_logits=net.num_logits,
            activation=_ACTIVATIONS[kinds[0]] if kinds else RELU,
            shift=np.zeros((2, size), np.float32),
            scale=np.ones((2, size), np.float32),
            clip=np.float32(0.0 if net.normaliser is None else net.normaliser.clip),
            value_scale=np.ones(net.num_values, np.float32),
            value_mean=np.zeros(net.num_values, np.float32),
        )

        self._weights = torch.from_numpy(self.numbers.weights)

    @staticmethod
    def fits(net: ActorCritic) -> bool:
        """Say whether `net` consists of plain MLPs on the CPU that see "policy" alone."""
        return PlainNet.fits(net) and (net.critic is None or net.critic.group == "policy")

    def read(self) -> NetNumbers:
        """Copy the weights as they are now, and return where they are."""
        numbers = self.numbers
        parts = zip(self._layers, self._last, numbers.plan.tolist(), strict=True)
        for layer, last, (inputs, outputs, start) in parts:
            end, width = start + inputs * outputs, layer.out_features
            weight = layer.weight.detach()
            if last:
                self._weights[start:end].view(outputs, inputs).copy_(weight)
            else:
                self._weights[start:end].view(inputs, outputs)[:, :width].copy_(weight.t())
            self._weights[end : end + width].copy_(layer.bias.detach())
        normalisers = [self.net.normaliser]
        if self.net.critic is not None:
            normalisers.append(self.net.critic.normaliser)
        for index, normaliser in enumerate(normalisers):
            if normaliser is not None:
                numbers.shift[index] = normaliser.shift.numpy()
                numbers.scale[index] = normaliser.scale.numpy()
        numbers.value_scale[:] = self.net.value_scale.numpy()
        numbers.value_mean[:] = self.net.value_mean.numpy()
        return numbers


def _layers(trunk: nn.Sequential, head: nn.Linear) -> list[nn.Linear]:
    return [layer for layer in trunk if isinstance(layer, nn.Linear)] + [head]
