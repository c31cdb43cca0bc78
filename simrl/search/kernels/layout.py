"""How a batch of trees lies in memory, and the numbers that steer a search.

B trees hold up to M nodes of K slots each; node 0 is the root.  What a selection reads of a node is
one run of memory.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

Real: TypeAlias = Any
"""A float32 of compiled code, which Python's types do not know."""

# Fields of an edge: `edges[row, node, FIELD, slot]`.
VISITS, Q, PROB, LOGIT, REWARD, DISCOUNT, PENDING = range(7)
EDGE_FIELDS = 7
# Integers of a node: `ints[row, node, FIELD]`.
NODE_VISITS, PARENT, SLOT, STATUS, NODE_PENDING = range(5)
NODE_INTS = 5
# Floats of a node: `values[row, node, FIELD]`.
VALUE, RAW = range(2)
NODE_VALUES = 2
# STATUS of a node.  All but OPEN are leaves for ever: their value is final.
OPEN, ENDED, STUCK, PROVEN = range(4)
# Rules.
PUCT, GUMBEL, UCT = range(3)


class TreeArrays(NamedTuple):
    """Hold a batch of trees as the kernels read it."""

    edges: np.ndarray
    """float32 `[B, M, EDGE_FIELDS, K]`."""
    child: np.ndarray
    """Node that a slot leads to, int32 `[B, M, K]`; -1: not tried."""
    values: np.ndarray
    """float32 `[B, M, NODE_VALUES]`."""
    ints: np.ndarray
    """int32 `[B, M, NODE_INTS]`."""
    state: np.ndarray
    """Positions, uint8 `[B, M, S]`, S rounded up to a multiple of 8."""
    words: np.ndarray
    """The same memory as uint64 `[B, M, S / 8]`."""
    count: np.ndarray  # type: ignore[assignment]  # a tuple has a method of this name
    """Nodes in use, int32 `[B]`."""


class RootArrays(NamedTuple):
    """Hold what a search knows of its roots beside the trees."""

    noise: np.ndarray
    """Gumbel noise float32 `[B, K]`."""
    start: np.ndarray
    """Visits float32 `[B, K]` that a kept tree brought along."""
    table: np.ndarray
    """Visits that sequential halving looks for, int32 `[considered + 1, simulations]`."""
    ties: np.ndarray
    """Seed int64 `[B]` of the order of untried slots in UCT; 0: their own order."""
    left: np.ndarray
    """Simulations that remain, int32 `[B]`."""


class RuleNumbers(NamedTuple):
    """Hold a `SearchConfig` as numbers; floats are float32."""

    kind: int
    c_init: Real
    c_base: Real
    low: Real
    high: Real
    value_scale: Real
    visit_offset: Real
    rescale: bool
    exploration: Real
    max_depth: int
    solve: bool
    best_value: Real
    parallel: int
    virtual_loss: Real
    widen_constant: Real
    """0: no widening."""
    widen_exponent: Real


class Leaves(NamedTuple):
    """Hold the leaves that wait for their evaluation, in the order in which they were found."""

    row: np.ndarray
    """int32 `[B * parallel]`."""
    node: np.ndarray
    """int32 `[B * parallel]`."""
    again: np.ndarray
    """bool `[B * parallel]`: the node exists already and is judged once more."""
