"""Who beat whom: counts of wins, draws and losses between named players, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from simrl.rollout.intervals import wilson


class Payoff:
    """Keep a square table of game results between players that may join at any time.

    `wins[i, j]` counts games that player i won against player j; `draws` is symmetric.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names: list[str] = []
        self.wins = np.zeros((0, 0))
        self.draws = np.zeros((0, 0))
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        """Let a player join; nothing happens if it is there already."""
        if name in self.names:
            return
        self.names.append(name)
        self.wins = np.pad(self.wins, (0, 1))
        self.draws = np.pad(self.draws, (0, 1))

    def remove(self, name: str) -> None:
        """Let a player leave, with all its games; ValueError lists the valid names."""
        index = self._index(name)
        del self.names[index]
        self.wins = np.delete(np.delete(self.wins, index, 0), index, 1)
        self.draws = np.delete(np.delete(self.draws, index, 0), index, 1)

    def record(self, first: str, second: str, outcome: float, games: float = 1.0) -> None:
        """Count games between two players: outcome 1 the first won, 0 drawn, -1 the second won."""
        if outcome not in (-1, 0, 1):
            raise ValueError(f"outcome must be 1, 0 or -1, got {outcome}")
        self.add(first)
        self.add(second)
        i, j = self.names.index(first), self.names.index(second)
        if outcome == 0:
            self.draws[i, j] += games
            self.draws[j, i] += games if i != j else 0.0
        elif outcome > 0:
            self.wins[i, j] += games
        else:
            self.wins[j, i] += games

    def games(self, first: str, second: str) -> float:
        """Count the games between two players."""
        i, j = self._index(first), self._index(second)
        return float(self.wins[i, j] + self.wins[j, i] + self.draws[i, j])

    def win_rate(self, first: str, second: str) -> tuple[float, float, float]:
        """Return the first player's win rate and its Wilson 95 % interval; a draw is half a win."""
        i, j = self._index(first), self._index(second)
        score = float(self.wins[i, j] + 0.5 * self.draws[i, j])
        return wilson(score, self.games(first, second))

    def table(self) -> np.ndarray:
        """Return every win rate `[P, P]`, NaN where two players never met."""
        games = self.wins + self.wins.T + self.draws
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((self.wins + 0.5 * self.draws) / games)

    def forget(self, fraction: float) -> None:
        """Scale every count down, so that older games weigh less."""
        self.wins *= 1.0 - fraction
        self.draws *= 1.0 - fraction

    def state_dict(self) -> dict[str, Any]:
        """Return the names and counts."""
        return {"names": self.names, "wins": self.wins.tolist(), "draws": self.draws.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.names = list(state["names"])
        size = len(self.names)
        self.wins = np.array(state["wins"], float).reshape(size, size)
        self.draws = np.array(state["draws"], float).reshape(size, size)

    def _index(self, name: str) -> int:
        if name not in self.names:
            raise ValueError(f"unknown player {name!r}; the players are {', '.join(self.names)}")
        return self.names.index(name)
