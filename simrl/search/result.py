"""What a search found."""

from __future__ import annotations

from dataclasses import dataclass

import torch
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

    @property
    def policy_value(self) -> Tensor:
        """Value of playing by `policy`, float32 `[B]`; slots not known count as the root's value.

        `value` is the mean over all simulations.  A search that spreads them over bad slots too, as
        Gumbel's does, plays better than that mean says.
        """
        known = (self.visits > 0) | (self.q != 0)  # a win at hand is known without a visit
        each = torch.where(known, self.q, self.value[:, None])
        return torch.where(self.policy > 0, self.policy * each, 0.0).sum(-1)
