"""Answer with the numbers that are shown, as floats; the best answer costs nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simrl.core.actions import ContinuousActions
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl_envs.toy.base import Move, record
from simrl_envs.toy.draw import draw_text
from simrl_envs.toy.streams import uniform


@dataclass(frozen=True)
class IdentityContinuousConfig:
    """Set how many numbers there are."""

    num_values: int = 2
    """How many numbers are shown at a time."""
    episode_steps: int = 16
    """Steps after which an episode is truncated."""


class IdentityContinuousRules:
    """Show numbers in -1..1 and pay minus the mean squared error of the action; the best is 0."""

    def __init__(self, config: IdentityContinuousConfig) -> None:
        self.config = config
        size = config.num_values
        self.record = record(("wanted", np.float32, (size,)))
        columns = [Column(f"value_{index}") for index in range(size)]
        self.spec = EnvSpec(
            id="identity-continuous",
            num_agents=1,
            observations={"policy": Layout((vector("wanted", *columns),))},
            actions=ContinuousActions((-1.0,) * size, (1.0,) * size),
            state_size=self.record.itemsize,
            max_steps=config.episode_steps,
        )

    def start(self, games: np.ndarray) -> None:
        """Show the first numbers."""
        games["wanted"] = uniform(games, -1.0, 1.0, self.config.num_values)

    def advance(self, games: np.ndarray, action: np.ndarray) -> Move:
        """Charge the error and show the next numbers."""
        error = np.square(action - games["wanted"][:, None]).mean(-1)
        self.start(games)
        return Move(-error, np.zeros(len(games), np.bool_))

    def observe(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Show the numbers."""
        return {"policy": games["wanted"][:, None]}

    def metrics(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Report nothing."""
        return {}

    def draw(self, game: np.void) -> np.ndarray:
        """Write the numbers."""
        return draw_text("answer", *[f"{value:+.3f}" for value in game["wanted"]])
