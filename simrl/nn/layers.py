"""Small pieces that the networks are built from: activations, initialisation, plain MLPs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
}


def activation(name: str) -> nn.Module:
    """Make the activation called `name`; ValueError lists the valid names."""
    if name not in ACTIVATIONS:
        raise ValueError(
            f"unknown activation {name!r}; the activations are {', '.join(ACTIVATIONS)}"
        )
    return ACTIVATIONS[name]()


def linear(inputs: int, outputs: int, gain: float = math.sqrt(2)) -> nn.Linear:
    """Make a linear layer with orthogonal weights of this gain and zero bias."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def mlp(inputs: int, widths: Sequence[int], activation_name: str) -> nn.Sequential:
    """Make layers of these widths, each followed by the activation."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [linear(inputs, width), activation(activation_name)]
        inputs = width
    return nn.Sequential(*layers)
