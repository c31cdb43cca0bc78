"""Keep search trees from move to move, as tensors with a row for each seat."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from simrl.core.timestep import PolicyState
from simrl.search.tree import Tree, make_tree

NAMES = ("edges", "child", "values", "ints", "state", "count")
PREFIX = "tree_"


def tree_state(tree: Tree) -> dict[str, Tensor]:
    """Return a tree as the memory of a policy, each `[rows, ...]`."""
    return {PREFIX + name: getattr(tree, name) for name in NAMES}


def empty_trees(num_rows: int, simulations: int, num_slots: int, state_size: int) -> Tree:
    """Make trees without a node, with room for what a search of so many simulations may keep."""
    tree = make_tree(num_rows, 2 * simulations + 1, num_slots, state_size)
    for name in NAMES:
        getattr(tree, name).zero_()
    return tree


def take_trees(memory: PolicyState, rows: Tensor, positions: Tensor, simulations: int) -> Tree:
    """Cut out of the memory of `rows` `[B]` what is known of `positions` uint8 `[B, S]`.

    The trees have room for `simulations` more nodes.  `memory` is left as it is.
    """
    from simrl.search.kernels.reroot import reroot

    parts = {name: memory[PREFIX + name] for name in NAMES}
    old = Tree(**parts, state_size=positions.shape[1])
    new = make_tree(len(rows), old.capacity, old.num_slots, old.state_size)
    words = np.zeros((len(rows), old.state.shape[-1]), np.uint8)
    words[:, : positions.shape[1]] = positions.numpy()
    most = old.capacity - simulations
    reroot(old.arrays(), rows.numpy(), words.view(np.uint64), new.arrays(), most)
    return new


def put_trees(memory: PolicyState, rows: Tensor, tree: Tree) -> dict[str, Tensor]:
    """Return `memory` with the trees of `rows` `[B]` replaced."""
    parts = tree_state(tree)
    if len(rows) == len(memory[PREFIX + "count"]):
        return parts
    return {name: value.index_copy(0, rows, parts[name]) for name, value in memory.items()}
