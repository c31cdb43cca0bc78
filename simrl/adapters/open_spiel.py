"""Seat OpenSpiel's bots in our board games, to be measured against.

Lanctot et al. 2019, "OpenSpiel: A Framework for Reinforcement Learning in Games".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from simrl.core.actions import DiscreteActions
from simrl.core.policy import PolicyOutput
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs, PolicyState

try:
    import pyspiel
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("OpenSpiel is missing: pip install open-spiel") from error

GAMES = {"connect-four": "connect_four", "tic-tac-toe": "tic_tac_toe"}
"""OpenSpiel's name of each environment that can be translated."""


@dataclass(frozen=True)
class OpenSpielConfig:
    """Set OpenSpiel's Monte Carlo tree search (its C++ `MCTSBot` with random rollouts)."""

    simulations: int = 1000
    """Simulations for each move."""
    uct_c: float = 2.0
    """Factor of the exploration term; OpenSpiel's examples use 2."""
    rollouts: int = 1
    """Random games from each leaf, whose mean is its value."""
    solve: bool = True
    """Back proven wins and losses up."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("simulations", "uct_c", "rollouts"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")


class OpenSpielMCTS:
    """Play a board game as OpenSpiel's `MCTSBot` does; each move is a new search.

    The board is read from the own and other stones of the observation, so no history is needed.
    The bot's seeds are drawn from the generator that `act` is given.
    """

    reads = frozenset({"policy", "action_mask"})

    def __init__(self, spec: EnvSpec, config: OpenSpielConfig | None = None) -> None:
        """Translate the game of `spec`; ValueError lists the games that can be translated."""
        if spec.id not in GAMES:
            raise ValueError(
                f"{spec.id} cannot be translated for OpenSpiel; these can: {', '.join(GAMES)}"
            )
        self.config = config or OpenSpielConfig()
        self.game = pyspiel.load_game(GAMES[spec.id])
        self._layout = spec.observations["policy"]
        assert isinstance(spec.actions, DiscreteActions)
        self._wait = spec.actions.heads[0].size - 1

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return no memory."""
        return {}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Search for each row whose turn it is; rollouts stay random with `deterministic`."""
        action = torch.full((len(obs["seat"]), 1), self._wait)
        seeds = torch.randint(2**31 - 1, (len(action), 2), generator=rng)
        # OpenSpiel's bot takes one position at a time; its search dwarfs this loop.
        for row in (~obs["action_mask"][:, self._wait]).nonzero().squeeze(1).tolist():
            position = self.position(obs["policy"][row], int(obs["seat"][row]))
            action[row, 0] = self._bot(*seeds[row].tolist()).step(position)
        return PolicyOutput(action)

    def position(self, seen: Tensor, seat: int) -> Any:
        """Return OpenSpiel's state of the board that agent `seat`, whose turn it is, sees `[D]`."""
        stones = self._layout.split(seen)["stones"] > 0.5
        own, other = ("x", "o") if seat == 0 else ("o", "x")  # x moves first
        _, height, width = stones.shape
        rows = [
            [own if stones[0, y, x] else other if stones[1, y, x] else "." for x in range(width)]
            for y in range(height)
        ]
        falling = self.game.get_type().short_name == "connect_four"
        board = rows[::-1] if falling else [cell for row in rows for cell in row]
        described: dict[str, Any] = {"board": board, "current_player": own}
        if falling:
            described |= {"is_terminal": False, "winner": ""}
        return self.game.new_initial_state(json.dumps(described))

    def _bot(self, search_seed: int, rollout_seed: int) -> Any:
        config = self.config
        return pyspiel.MCTSBot(
            self.game,
            pyspiel.RandomRolloutEvaluator(config.rollouts, rollout_seed),
            config.uct_c,
            config.simulations,
            1000,  # megabytes, never reached
            config.solve,
            search_seed,
            False,
        )
