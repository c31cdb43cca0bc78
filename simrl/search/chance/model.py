"""What a search over chance nodes needs of a stochastic model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from simrl.search.model import Transition


@dataclass(frozen=True)
class Afterstate:
    """Hold what B actions did before chance has its say (Antonoglou et al. 2022)."""

    state: Tensor
    """Afterstates, uint8 `[B, S']`."""
    logits: Tensor
    """Unnormalised log-probabilities of the C outcomes, float32 `[B, C]`; -inf: impossible."""
    reward: Tensor
    """Reward float32 `[B]` that is certain once the action is chosen."""
    value: Tensor | None = None
    """Value float32 `[B]` of the afterstates to whoever acted, as a learned model gives it; None:
    the search goes on to an outcome in the same simulation and judges that."""


class StochasticModel(Protocol):
    """Step positions in two halves: an action leads to an afterstate, an outcome on from there."""

    def afterstate(self, state: Tensor, action: Tensor) -> Afterstate:
        """Play `action` (int64 `[B, H]` or float32 `[B, size]`) in `state` uint8 `[B, S]`."""
        ...

    def outcome(self, afterstate: Tensor, outcome: Tensor) -> Transition:
        """Let outcome int64 `[B]` happen in `afterstate` uint8 `[B, S']`.

        Reward and discount are as in `simrl.search.model.Transition`.
        """
        ...


class SampledOutcomes:
    """Make a plain model of a `StochasticModel`: outcomes are drawn, and nobody knows how likely.

    For open-loop search and double progressive widening of models that tell their chances.
    """

    def __init__(self, model: StochasticModel) -> None:
        """Draw from `model`."""
        self._model = model

    def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
        """Play `action` in `state` and draw an outcome; the certain reward is added to its own."""
        after = self._model.afterstate(state, action)
        outcome = torch.multinomial(after.logits.softmax(-1), 1, generator=rng).squeeze(-1)
        step = self._model.outcome(after.state, outcome)
        return Transition(step.state, after.reward + step.reward, step.discount)
