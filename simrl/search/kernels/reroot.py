"""Cut the subtree of a position out of a tree, to search on from there."""

from __future__ import annotations

import numpy as np
from numba import njit

from simrl.search.kernels.layout import PARENT, SLOT, TreeArrays


@njit(nogil=True, cache=True)
def reroot(
    old: TreeArrays, rows: np.ndarray, words: np.ndarray, new: TreeArrays, most: int
) -> None:
    """Copy into row i of `new` what row `rows[i]` of `old` knows of the position `words[i]`.

    The first `most` nodes of the subtree, in the order in which they were made, are kept; a slot
    whose node is left out keeps its visits and its value.  Without such a position the row is
    empty.
    """
    place = np.empty(old.child.shape[1], np.int32)
    for index in range(len(rows)):
        row, count = rows[index], 0
        top = _find(old, row, words[index])
        for node in range(max(top, 0), old.count[row] if top >= 0 else 0):
            parent = old.ints[row, node, PARENT]
            inside = node == top or (parent >= top and place[parent] >= 0)
            place[node] = -1
            if not inside or count == most:
                continue
            place[node] = count
            _copy(old, row, node, new, index, count)
            if node == top:
                new.ints[index, 0, PARENT] = new.ints[index, 0, SLOT] = -1
            else:
                new.ints[index, count, PARENT] = place[parent]
                slot = new.ints[index, count, SLOT]
                new.child[index, place[parent], slot] = count
            count += 1
        new.count[index] = count


@njit(nogil=True, cache=True)
def _find(tree: TreeArrays, row: int, words: np.ndarray) -> int:
    """Return the first node of `row` whose position is `words`, or -1."""
    for node in range(tree.count[row]):
        same = True
        for word in range(len(words)):
            if tree.words[row, node, word] != words[word]:
                same = False
                break
        if same:
            return node
    return -1


@njit(nogil=True, cache=True)
def _copy(
    old: TreeArrays, row: int, node: int, new: TreeArrays, new_row: int, new_node: int
) -> None:
    """Copy one node; its slots lead nowhere until its children are copied."""
    new.edges[new_row, new_node] = old.edges[row, node]
    new.values[new_row, new_node] = old.values[row, node]
    new.ints[new_row, new_node] = old.ints[row, node]
    new.words[new_row, new_node] = old.words[row, node]
    new.child[new_row, new_node] = -1
