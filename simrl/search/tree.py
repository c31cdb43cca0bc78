"""A batch of search trees as a few tensors, one row each."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from simrl.search.kernels.layout import (
    EDGE_FIELDS,
    LOGIT,
    NODE_INTS,
    NODE_VALUES,
    NODE_VISITS,
    PROB,
    RAW,
    STATUS,
    VALUE,
    VISITS,
    Q,
    TreeArrays,
)


@dataclass(frozen=True)
class Tree:
    """Hold B trees of up to M nodes with K slots each; node 0 of a row is its root.

    Nodes are numbered as they were made, so a child's number is above its parent's.  What lies
    beyond `count` is not defined.
    """

    edges: Tensor
    """float32 `[B, M, fields, K]`: what is known of each slot."""
    child: Tensor
    """int32 `[B, M, K]`: node that a slot leads to; -1: not tried."""
    values: Tensor
    """float32 `[B, M, 2]`: mean value of a node and the value that the evaluator gave."""
    ints: Tensor
    """int32 `[B, M, fields]`: visits, parent, slot in the parent, status, waiting leaves."""
    state: Tensor
    """uint8 `[B, M, S]`: the position, S rounded up to a multiple of 8 by zeros."""
    count: Tensor
    """int32 `[B]`: nodes in use."""
    state_size: int
    """Bytes of a position."""
    actions: Tensor | None = None
    """What each slot of a node does, int64 or float32 `[B, M, K, size]`; None: slot k is `[k]`."""

    @property
    def capacity(self) -> int:
        """Number of nodes M that a row has room for."""
        return self.child.shape[1]

    @property
    def num_slots(self) -> int:
        """Number of slots K of a node."""
        return self.child.shape[2]

    @property
    def visits(self) -> Tensor:
        """Simulations through each slot, float32 `[B, M, K]`."""
        return self.edges[:, :, VISITS]

    @property
    def q(self) -> Tensor:
        """Value of each slot that was tried, float32 `[B, M, K]`."""
        return self.edges[:, :, Q]

    @property
    def prob(self) -> Tensor:
        """Prior of each slot, float32 `[B, M, K]`, noise included."""
        return self.edges[:, :, PROB]

    @property
    def logits(self) -> Tensor:
        """Prior of each slot as logits, float32 `[B, M, K]`, noise included."""
        return self.edges[:, :, LOGIT]

    @property
    def node_visits(self) -> Tensor:
        """Visits of each node, its own evaluation included, int32 `[B, M]`."""
        return self.ints[:, :, NODE_VISITS]

    @property
    def value(self) -> Tensor:
        """Mean value of each node to whoever acts there, float32 `[B, M]`."""
        return self.values[:, :, VALUE]

    @property
    def raw_value(self) -> Tensor:
        """Value of each node before its children were tried, float32 `[B, M]`."""
        return self.values[:, :, RAW]

    @property
    def status(self) -> Tensor:
        """Status int32 `[B, M]`: 0 open, 1 ended, 2 without a legal slot, 3 proven."""
        return self.ints[:, :, STATUS]

    @property
    def positions(self) -> Tensor:
        """Positions uint8 `[B, M, state_size]`."""
        return self.state[:, :, : self.state_size]

    def arrays(self) -> TreeArrays:
        """Return the same memory as the kernels read it."""
        state = self.state.numpy()
        return TreeArrays(
            edges=self.edges.numpy(),
            child=self.child.numpy(),
            values=self.values.numpy(),
            ints=self.ints.numpy(),
            state=state,
            words=state.view("uint64"),
            count=self.count.numpy(),
        )


def make_tree(
    num_rows: int,
    capacity: int,
    num_slots: int,
    state_size: int,
    actions: Tensor | None = None,
    *,
    device: torch.device | str = "cpu",
) -> Tree:
    """Allocate trees; `actions` `[B, K, size]` is an example of what slots do."""
    if capacity >= 2**31:
        raise ValueError(f"a tree holds fewer than 2**31 nodes, got a capacity of {capacity}")
    shape = (num_rows, capacity)
    kept = None
    if actions is not None:
        kept = torch.empty(*shape, *actions.shape[1:], dtype=actions.dtype, device=device)
    return Tree(
        edges=torch.empty(*shape, EDGE_FIELDS, num_slots, device=device),
        child=torch.empty(*shape, num_slots, dtype=torch.int32, device=device),
        values=torch.empty(*shape, NODE_VALUES, device=device),
        ints=torch.empty(*shape, NODE_INTS, dtype=torch.int32, device=device),
        state=torch.zeros(*shape, -(-state_size // 8) * 8, dtype=torch.uint8, device=device),
        count=torch.zeros(num_rows, dtype=torch.int32, device=device),
        state_size=state_size,
        actions=kept,
    )
