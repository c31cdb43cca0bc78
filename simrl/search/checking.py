"""Say what does not fit, or is not finite, at the border of a search."""

from __future__ import annotations

import torch
from torch import Tensor

from simrl.search.model import Evaluation
from simrl.search.tree import Tree


def check_state(state: Tensor) -> None:
    """Raise ValueError unless `state` is uint8 `[B >= 1, S >= 1]`."""
    if state.ndim != 2 or state.dtype != torch.uint8 or state.numel() == 0:
        raise ValueError(
            f"expected positions uint8 [B >= 1, S >= 1], got {state.dtype} {tuple(state.shape)}"
        )


def check_evaluation(evaluation: Evaluation, num_rows: int, num_slots: int) -> None:
    """Raise ValueError unless logits are `[num_rows, num_slots]` and values `[num_rows]`."""
    shapes = tuple(evaluation.logits.shape), tuple(evaluation.value.shape)
    if shapes != ((num_rows, num_slots), (num_rows,)):
        raise ValueError(
            f"the evaluator must return logits {(num_rows, num_slots)} and values {(num_rows,)}, "
            f"got {shapes[0]} and {shapes[1]}"
        )


def check_roots(logits: Tensor) -> None:
    """Raise ValueError naming the first row of `logits` `[B, K]` without a legal slot."""
    stuck = (logits == -torch.inf).all(-1)
    if bool(stuck.any()):
        row = int(stuck.nonzero()[0])
        raise ValueError(f"row {row}: the position to search has no legal action")


def check_transition(state: Tensor, num_rows: int, state_size: int) -> None:
    """Raise ValueError unless a model's next positions are uint8 `[num_rows, state_size]`."""
    if tuple(state.shape) != (num_rows, state_size) or state.dtype != torch.uint8:
        raise ValueError(
            f"state and dynamics do not fit: expected next positions uint8 "
            f"{(num_rows, state_size)}, got {state.dtype} {tuple(state.shape)}"
        )


def check_tree(tree: Tree, num_rows: int, num_slots: int, state_size: int) -> None:
    """Raise ValueError unless a tree to go on with has these sizes."""
    has = (len(tree.count), tree.num_slots, tree.state_size)
    if has != (num_rows, num_slots, state_size):
        raise ValueError(
            f"the tree to go on with has (rows, slots, bytes of a position) = {has}, "
            f"the search {(num_rows, num_slots, state_size)}"
        )


def not_finite(row: int, node: int, logits: Tensor, value: Tensor) -> ValueError:
    """Make the error that names row and node of an evaluation `[K]`, value."""
    return ValueError(
        f"row {row}, node {node}: evaluator and model must return finite numbers (a logit may be "
        f"-inf), got value {float(value)} and logits {[round(x, 4) for x in logits.tolist()]}"
    )
