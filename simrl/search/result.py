"""What a search found."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from simrl.search.tree import Tree


@dataclass(frozen=True)
class SearchResult:
    """Hold what a search found of B positions, in K slots each."""

    slot: Tensor
    """Chosen slot int64 `[B]`."""
    action: Tensor
    """What that slot does: int64 `[B, H]` or float32 `[B, size]`."""
    policy: Tensor
    """Training target float32 `[B, K]`: shares of the visits for PUCT and UCT,
    softmax(logits + sigma(completed q)) for Gumbel."""
    visits: Tensor
    """Visits of each slot, int64 `[B, K]`."""
    q: Tensor
    """Value of each slot, float32 `[B, K]`; 0 where it was not tried."""
    value: Tensor
    """Value of the position after the search, float32 `[B]`."""
    logits: Tensor
    """Priors as the evaluator gave them, float32 `[B, K]`."""
    actions: Tensor | None
    """What each slot does, as in `Evaluation`; None: slot k is the action `[k]`."""
    simulations: int
    """Simulations of each position that the budget allowed."""
    tree: Tree
    """The trees themselves."""
