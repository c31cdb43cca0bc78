"""Play rock-paper-scissors; the only equilibrium plays each with probability 1/3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simrl.core.actions import DiscreteActions, Head
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl_envs.toy.base import Move, record
from simrl_envs.toy.draw import draw_text

CHOICES = ("rock", "paper", "scissors")


@dataclass(frozen=True)
class RockPaperScissorsConfig:
    """Set the length of a match."""

    rounds: int = 1
    """Rounds in an episode."""


class RockPaperScissorsRules:
    """Two agents choose at once; a round pays 1, 0 or -1, and the match ends after `rounds`.

    Each agent sees what both chose in the round before.  "outcome" is the sign of the sum.
    """

    def __init__(self, config: RockPaperScissorsConfig) -> None:
        if config.rounds < 1:
            raise ValueError(f"rock-paper-scissors: rounds must be at least 1, got {config.rounds}")
        self.config = config
        self.record = record(("last", np.int32, (2,)), ("score", np.int32))
        columns = [Column(name, 0.0, 1.0) for name in CHOICES]
        self.spec = EnvSpec(
            id="rock-paper-scissors",
            num_agents=2,
            observations={"policy": Layout((vector("own", *columns), vector("other", *columns)))},
            actions=DiscreteActions((Head("choice", 3, choices=CHOICES),)),
            state_size=self.record.itemsize,
            metrics=("outcome",),
        )

    def start(self, games: np.ndarray) -> None:
        """Begin a match."""
        games["last"] = -1
        games["score"] = 0

    def advance(self, games: np.ndarray, action: np.ndarray) -> Move:
        """Compare the choices: each beats the one before it, in a circle."""
        games["last"] = action[:, :, 0]
        lead = np.array([0, 1, -1])[(action[:, 0, 0] - action[:, 1, 0]) % 3]
        games["score"] += lead.astype(np.int32)
        return Move(np.stack([lead, -lead], axis=-1), games["steps"] >= self.config.rounds)

    def observe(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Show the last round from each side; zeros before the first."""
        table = np.concatenate([np.eye(3, dtype=np.float32), np.zeros((1, 3), np.float32)])
        own, other = table[games["last"]], table[games["last"][:, ::-1]]
        mask = np.ones((len(games), 2, 3), np.bool_)
        return {"policy": np.concatenate([own, other], axis=-1), "action_mask": mask}

    def metrics(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Report who won the match."""
        lead = np.sign(games["score"])
        return {"outcome": np.stack([lead, -lead], axis=-1)}

    def draw(self, game: np.void) -> np.ndarray:
        """Write the last choices and the score."""
        names = ["-" if value < 0 else CHOICES[value] for value in game["last"]]
        return draw_text(" against ".join(names), f"score {int(game['score']):+d}")
