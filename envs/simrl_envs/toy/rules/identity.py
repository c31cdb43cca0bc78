"""Answer with the number that is shown; the best answer pays 1 a step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simrl.core.actions import DiscreteActions, Head
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl_envs.toy.base import Move, record
from simrl_envs.toy.draw import draw_text
from simrl_envs.toy.streams import integers


@dataclass(frozen=True)
class IdentityConfig:
    """Set how many numbers there are."""

    num_values: int = 4
    """How many different numbers are shown."""
    episode_steps: int = 16
    """Steps after which an episode is truncated."""


class IdentityRules:
    """Show a number as one-hot; pay 1 for the same number as the action, else 0.

    A new number comes each step, so the best mean reward is 1 a step and guessing earns
    1 / num_values.
    """

    def __init__(self, config: IdentityConfig) -> None:
        self.config = config
        columns = [Column(f"is_{value}", 0.0, 1.0) for value in range(config.num_values)]
        self.record = record(("wanted", np.int32))
        self.spec = EnvSpec(
            id="identity",
            num_agents=1,
            observations={"policy": Layout((vector("wanted", *columns),))},
            actions=DiscreteActions((Head("answer", config.num_values),)),
            state_size=self.record.itemsize,
            max_steps=config.episode_steps,
        )

    def start(self, games: np.ndarray) -> None:
        """Show the first number."""
        games["wanted"] = integers(games, self.config.num_values, 1)[:, 0]

    def advance(self, games: np.ndarray, action: np.ndarray) -> Move:
        """Pay for the right answer and show the next number."""
        right = action[:, :, 0] == games["wanted"][:, None]
        self.start(games)
        return Move(right.astype(np.float32), np.zeros(len(games), np.bool_))

    def observe(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Show the number as one-hot."""
        seen = np.eye(self.config.num_values, dtype=np.float32)[games["wanted"]][:, None]
        return {"policy": seen, "action_mask": np.ones(seen.shape, np.bool_)}

    def metrics(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Report nothing."""
        return {}

    def draw(self, game: np.void) -> np.ndarray:
        """Write the number."""
        return draw_text(f"answer {int(game['wanted'])}")
