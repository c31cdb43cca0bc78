"""Vary the games that a search plays against itself, so that it learns from many."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from simrl.core.policy import Policy, PolicyOutput
from simrl.core.timestep import Obs, PolicyState
from simrl.learn.self_play import POLICY, SEARCHED

_MOVES, _RANDOM = "exploration/moves", "exploration/random"


@dataclass(frozen=True)
class ExplorationConfig:
    """Choose how a game's first moves are varied; later ones are the search's own.

    Every position is searched and learned from, whatever move is then played in it.
    """

    random_share: float = 0.5
    """Share of the games that a player opens with random moves."""
    random_moves: int = 5
    """Most random moves of such an opening; how many there are, at least one, is drawn."""
    sampled_moves: int = 8
    """First moves of each player that, if not random, are drawn from what the search preferred."""
    temperature: float = 1.0
    """Exponent 1 / temperature of that distribution; below 1 it is sharper."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("random_moves", "sampled_moves"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be positive, got {self.temperature}")
        if not 0.0 <= self.random_share <= 1.0:
            raise ValueError(f"random_share must be from 0 to 1, got {self.random_share}")


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
            _RANDOM: torch.zeros(num_rows, dtype=torch.int64),
        }

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Search, and draw the move anew where it is one of the first; not if `deterministic`."""
        moves = state[_MOVES]
        inner = {name: value for name, value in state.items() if name not in (_MOVES, _RANDOM)}
        output = self.policy.act(obs, inner, rng, deterministic=deterministic)
        target, searched = output.extras[POLICY], output.extras[SEARCHED]
        opening = torch.where(moves == 0, self._openings(len(moves), rng), state[_RANDOM])
        memory = {**output.state, _MOVES: moves + searched, _RANDOM: opening}
        action = output.action
        rows = (searched & (moves < opening.clamp_min(self.config.sampled_moves))).nonzero()[:, 0]
        if len(rows) and not deterministic:
            legal = obs["action_mask"][rows][:, : target.shape[1]]
            anything = (moves < opening)[rows, None]
            weight = target[rows].pow(1.0 / self.config.temperature)
            weight = torch.where(anything, legal.float(), weight)
            action = action.clone()
            action[rows, 0] = torch.multinomial(weight, 1, generator=rng).squeeze(1)
        return PolicyOutput(action, memory, output.extras)

    def _openings(self, rows: int, rng: torch.Generator) -> Tensor:
        """Draw how many random moves open a game `[rows]`."""
        most = self.config.random_moves
        length = torch.randint(min(1, most), most + 1, (rows,), generator=rng)
        opens = torch.rand(rows, generator=rng) < self.config.random_share
        return length * opens
