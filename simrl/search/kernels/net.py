"""Run a plain MLP for one observation inside a kernel, so that a search needs no call per leaf."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from simrl.search.kernels.layout import Real

RELU, LEAKY_RELU, TANH = range(3)
WIDTH = 16
"""Layers have multiples of this many outputs, so that loops over them are all vectors."""

ZERO, SLOPE = np.float32(0.0), np.float32(0.01)


class NetNumbers(NamedTuple):
    """Hold the weights of an actor-critic made of plain MLPs."""

    weights: np.ndarray
    """float32, one layer after the other: weights, then biases `[outputs]`.  The weights are
    `[inputs, outputs]`, but `[outputs, inputs]` in the last layer of a tower, which is narrow."""
    plan: np.ndarray
    """int64 `[layers, 3]`: inputs, outputs and first weight of each layer; outputs are padded to
    multiples of `WIDTH`, but not in the last layer of a tower."""
    actor_layers: int
    """Layers of the actor; those that follow are a critic of its own, if there are any."""
    num_logits: int
    """Outputs of the actor that are logits; without a critic of its own, values follow them."""
    activation: int
    """RELU, LEAKY_RELU or TANH."""
    shift: np.ndarray
    """float32 `[2, D]`: mean that is taken from the actor's and the critic's observations."""
    scale: np.ndarray
    """float32 `[2, D]`: factor after that."""
    clip: Any
    """Bound of what comes out; 0: observations go in as they are."""
    value_scale: np.ndarray
    """float32 `[V]`."""
    value_mean: np.ndarray
    """float32 `[V]`."""


@njit(nogil=True, cache=True, forceinline=True)
def judge(net: NetNumbers, obs: np.ndarray, buffers: np.ndarray, picked: np.ndarray) -> Real:
    """Return the value of `obs` `[D]`; logits are left in the first columns of `buffers[2]`.

    buffers: float32 `[4, widest layer]`; picked: int64 `[widest layer]`.
    """
    _tower(net, 0, net.actor_layers, 0, obs, buffers, picked, buffers[2])
    value = ZERO
    if net.plan.shape[0] == net.actor_layers:
        for group in range(len(net.value_scale)):
            raw = buffers[2, net.num_logits + group]
            value += raw * net.value_scale[group] + net.value_mean[group]
        return value
    _tower(net, net.actor_layers, net.plan.shape[0], 1, obs, buffers, picked, buffers[3])
    for group in range(len(net.value_scale)):
        value += buffers[3, group] * net.value_scale[group] + net.value_mean[group]
    return value


@njit(nogil=True, cache=True, forceinline=True)
def _tower(
    net: NetNumbers,
    first: int,
    last: int,
    which: int,
    obs: np.ndarray,
    buffers: np.ndarray,
    picked: np.ndarray,
    out: np.ndarray,
) -> None:
    """Run the layers `first` to `last` - 1 and write what the last one gives."""
    x = buffers[0]
    for column in range(len(obs)):
        value = obs[column]
        if net.clip > ZERO:
            value = (value - net.shift[which, column]) * net.scale[which, column]
            value = min(max(value, -net.clip), net.clip)
        x[column] = value
    for layer in range(first, last - 1):
        inputs, outputs, start = net.plan[layer, 0], net.plan[layer, 1], net.plan[layer, 2]
        y = buffers[1 - (layer - first) % 2]
        _wide(net.weights, start, inputs, outputs, x, y, picked)
        _activate(net.activation, y, outputs)
        x = y
    layer = last - 1
    inputs, outputs, start = net.plan[layer, 0], net.plan[layer, 1], net.plan[layer, 2]
    _narrow(net.weights, start, inputs, outputs, x, out)


@njit(nogil=True, cache=True, fastmath={"contract"})
def _wide(
    weights: np.ndarray,
    start: int,
    inputs: int,
    outputs: int,
    x: np.ndarray,
    y: np.ndarray,
    picked: np.ndarray,
) -> None:
    """Write y = x W + b, with the rows of W that meet a zero left out, four rows at a time."""
    bias = weights[start + inputs * outputs : start + (inputs + 1) * outputs]
    for column in range(outputs):
        y[column] = bias[column]
    count = 0
    for row in range(inputs):
        picked[count] = row
        count += x[row] != ZERO
    index = 0
    while index + 4 <= count:
        r0, r1, r2, r3 = picked[index], picked[index + 1], picked[index + 2], picked[index + 3]
        a, b, c, d = x[r0], x[r1], x[r2], x[r3]
        w0 = weights[start + r0 * outputs : start + (r0 + 1) * outputs]
        w1 = weights[start + r1 * outputs : start + (r1 + 1) * outputs]
        w2 = weights[start + r2 * outputs : start + (r2 + 1) * outputs]
        w3 = weights[start + r3 * outputs : start + (r3 + 1) * outputs]
        for column in range(outputs):
            y[column] += (a * w0[column] + b * w1[column]) + (c * w2[column] + d * w3[column])
        index += 4
    while index < count:
        a, r0 = x[picked[index]], picked[index]
        w0 = weights[start + r0 * outputs : start + (r0 + 1) * outputs]
        for column in range(outputs):
            y[column] += a * w0[column]
        index += 1


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def _narrow(
    weights: np.ndarray, start: int, inputs: int, outputs: int, x: np.ndarray, y: np.ndarray
) -> None:
    """Write y = W x + b, one product of vectors for each output."""
    for output in range(outputs):
        row = weights[start + output * inputs : start + (output + 1) * inputs]
        total = ZERO
        for column in range(inputs):
            total += x[column] * row[column]
        y[output] = total + weights[start + outputs * inputs + output]


@njit(nogil=True, cache=True)
def _activate(kind: int, y: np.ndarray, count: int) -> None:
    if kind == RELU:
        for column in range(count):
            y[column] = max(y[column], ZERO)
    elif kind == LEAKY_RELU:
        for column in range(count):
            y[column] = max(y[column], SLOPE * y[column])
    else:
        for column in range(count):
            y[column] = math.tanh(y[column])


@njit(nogil=True, cache=True)
def widest_layer(net: NetNumbers, obs_size: int) -> int:
    """Return the most numbers that any layer takes or gives."""
    widest = obs_size
    for layer in range(net.plan.shape[0]):
        widest = max(widest, net.plan[layer, 1])
    return widest


@njit(nogil=True, cache=True)
def judge_rows(
    net: NetNumbers, obs: np.ndarray, legal: np.ndarray, logits: np.ndarray, value: np.ndarray
) -> None:
    """Judge `obs` `[R, D]`: write logits `[R, K]`, -inf where not `legal` `[R, K]`, and values."""
    widest = widest_layer(net, obs.shape[1])
    buffers, picked = np.empty((4, widest), np.float32), np.empty(widest + 1, np.int64)
    for row in range(len(obs)):
        value[row] = judge(net, obs[row], buffers, picked)
        for slot in range(logits.shape[1]):
            logits[row, slot] = buffers[2, slot] if legal[row, slot] else np.float32(-np.inf)
