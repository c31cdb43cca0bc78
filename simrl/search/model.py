"""What a search needs: a model that steps positions, and an evaluator that judges them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Transition:
    """Hold what one action did in B positions."""

    state: Tensor
    """Next positions, uint8 `[B, S]`."""
    reward: Tensor
    """Reward float32 `[B]` to whoever acted."""
    discount: Tensor
    """float32 `[B]`: factor from the next position's value, as seen by whoever acts there, to this
    position's.  It is 0 where the episode ended, and negative where the turn passes to an
    opponent."""


class Model(Protocol):
    """Step B positions for whoever acts in each; a position is a row of bytes."""

    def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
        """Play `action` (int64 `[B, H]` or float32 `[B, size]`) in `state` uint8 `[B, S]`.

        `rng` draws what the model leaves to chance, such as the actions of opponents.
        """
        ...


@dataclass(frozen=True)
class Evaluation:
    """Hold what an evaluator says of B positions; a slot is an action that a node may try."""

    logits: Tensor
    """Prior of each slot as unnormalised log-probabilities, float32 `[B, K]`; -inf: not legal."""
    value: Tensor
    """Value float32 `[B]` to whoever acts there."""
    actions: Tensor | None = None
    """What each slot does, int64 `[B, K, H]` or float32 `[B, K, size]`; None: slot k stands for the
    action `[k]`."""


class Evaluator(Protocol):
    """Judge positions: a network, random rollouts, a table, or what they say together."""

    num_slots: int
    """Number of slots K of a node."""

    def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
        """Judge `state` uint8 `[B, S]`; positions that have ended may get anything finite."""
        ...
