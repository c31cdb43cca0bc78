"""What a search knows of its roots, whatever lies below them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from simrl.search.config import PuctConfig
from simrl.search.model import Evaluation


@dataclass(frozen=True)
class RootResult:
    """Hold what a search found of B positions, in K slots each."""

    slot: Tensor
    """Chosen slot int64 `[B]`."""
    action: Tensor
    """What that slot does: int64 `[B, H]` or float32 `[B, size]`."""
    policy: Tensor
    """Shares of the visits, float32 `[B, K]`: the training target."""
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
    simulations: Tensor
    """Simulations of each position, int64 `[B]`."""
    nodes: Tensor
    """Nodes of each tree, int64 `[B]`."""


def read_roots(
    root: Evaluation,
    visits: np.ndarray,
    q: np.ndarray,
    value: np.ndarray,
    done: np.ndarray,
    nodes: np.ndarray,
    puct: PuctConfig,
    rng: torch.Generator,
) -> RootResult:
    """Choose a slot of each root by visits ** (1 / temperature), and collect what was found.

    visits int64 and q `[B, K]`; value, done (simulations) and nodes `[B]`.
    """
    counts = torch.from_numpy(visits)
    slot = _choose(counts, root.logits, puct, rng)
    rows = torch.arange(len(slot))
    return RootResult(
        slot=slot,
        action=slot[:, None] if root.actions is None else root.actions[rows, slot],
        policy=counts / counts.sum(-1, keepdim=True).clamp_min(1),
        visits=counts,
        q=torch.from_numpy(q).float(),
        value=torch.from_numpy(value).float(),
        logits=root.logits,
        actions=root.actions,
        simulations=torch.from_numpy(done.astype(np.int64)),
        nodes=torch.from_numpy(nodes.astype(np.int64)),
    )


def _choose(visits: Tensor, logits: Tensor, puct: PuctConfig, rng: torch.Generator) -> Tensor:
    """Draw a slot by visits ** (1 / temperature); at 0, the most visited."""
    if not bool(visits.any()):  # no time for a single simulation
        return logits.argmax(-1)
    if puct.temperature == 0.0:
        return visits.argmax(-1)
    share = visits / visits.amax(-1, keepdim=True).clamp_min(1)
    weight = share.double() ** (1.0 / puct.temperature)
    weight = torch.where(weight.sum(-1, keepdim=True) > 0, weight, logits.double().softmax(-1))
    return torch.multinomial(weight, 1, generator=rng).squeeze(-1)
