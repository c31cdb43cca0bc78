"""Vary the games that a search plays against itself, so that it learns from many."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from simrl.core.policy import Policy, PolicyOutput
from simrl.core.timestep import Obs, PolicyState
from simrl.learn.self_play import POLICY, SEARCHED

_MOVES = "exploration/moves"


@dataclass(frozen=True)
class ExplorationConfig:
    """Choose how a game's first moves are varied; later ones are the search's own."""

    sampled_moves: int = 8
    """First moves of each player that are drawn from what the search preferred."""
    temperature: float = 1.0
    """Exponent 1 / temperature of that distribution; below 1 it is sharper."""
    random: float = 0.1
    """Share of those moves that are drawn from all legal ones alike.  The position is still learned
    from: what the search preferred in it stays the target."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.sampled_moves < 0:
            raise ValueError(f"sampled_moves must not be negative, got {self.sampled_moves}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be positive, got {self.temperature}")
        if not 0.0 <= self.random <= 1.0:
            raise ValueError(f"random must be from 0 to 1, got {self.random}")


class ExploringPolicy:
    """Act as a searching policy does, but draw the first moves of each game.

    For searches whose slot k stands for the action `[k]`.  A player's moves are counted where it
    searched, so waiting for the other one does not use them up.
    """

    def __init__(self, policy: Policy, config: ExplorationConfig | None = None) -> None:
        """Vary `policy`, which gives the extras that `simrl.learn.self_play` names."""
        self.policy = policy
        self.config = config or ExplorationConfig()
        self.reads = frozenset(policy.reads) | {"action_mask"}

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the policy's memory, and that no move was made."""
        return {
            **self.policy.initial_state(num_rows),
            _MOVES: torch.zeros(num_rows, dtype=torch.int64),
        }

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Search, and draw the move anew where it is one of the first; not if `deterministic`."""
        moves = state[_MOVES]
        inner = {name: value for name, value in state.items() if name != _MOVES}
        output = self.policy.act(obs, inner, rng, deterministic=deterministic)
        target, searched = output.extras[POLICY], output.extras[SEARCHED]
        memory = {**output.state, _MOVES: moves + searched}
        early = searched & (moves < self.config.sampled_moves)
        rows = early.nonzero().squeeze(1)
        action = output.action
        if len(rows) and not deterministic:
            legal = obs["action_mask"][rows][:, : target.shape[1]]
            action = action.clone()
            action[rows, 0] = self._draw(target[rows], legal, rng)
        return PolicyOutput(action, memory, output.extras)

    def _draw(self, target: Tensor, legal: Tensor, rng: torch.Generator) -> Tensor:
        """Draw slots `[I]` from `target` `[I, K]`, some from all `legal` ones alike."""
        weight = target.pow(1.0 / self.config.temperature)
        anything = torch.rand(len(weight), generator=rng) < self.config.random
        weight = torch.where(anything[:, None], legal.float(), weight)
        return torch.multinomial(weight, 1, generator=rng).squeeze(1)
