"""Count steps: every observation, reward and bootstrap can be worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simrl.core.actions import DiscreteActions, Head
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl_envs.toy.base import Move, record
from simrl_envs.toy.draw import draw_text
from simrl_envs.toy.streams import integers


@dataclass(frozen=True)
class CountingConfig:
    """Set when counting stops."""

    terminate_at: int = 0
    """Steps after which an episode terminates; 0 if never."""
    truncate_at: int = 5
    """Steps after which an episode is truncated; 0 if never."""
    random_length: bool = False
    """Draw each episode's terminating step uniformly from 1..terminate_at."""
    num_agents: int = 1
    """Number of agents."""


class CountingRules:
    """Show the number of steps taken; pay agent a at step k (from 1) the reward k * (a + 1).

    The group "critic" adds the step at which the episode will terminate.  Actions 0 and 1 are legal
    and change nothing.
    """

    def __init__(self, config: CountingConfig) -> None:
        for name in ("terminate_at", "truncate_at"):
            if getattr(config, name) < 0:
                raise ValueError(f"counting: {name} must not be negative")
        if not config.terminate_at and not config.truncate_at:
            raise ValueError("counting: one of terminate_at and truncate_at must be above 0")
        if config.random_length and not config.terminate_at:
            raise ValueError("counting: random_length needs terminate_at above 0")
        self.config = config
        longest = max(config.terminate_at, config.truncate_at)
        count = Column("count", 0.0, float(longest), "steps")
        end = Column("terminates_at", 0.0, float(config.terminate_at), "steps")
        self.record = record(("terminates_at", np.int32))
        self.spec = EnvSpec(
            id="counting",
            num_agents=config.num_agents,
            observations={
                "policy": Layout((vector("clock", count),)),
                "critic": Layout((vector("clock", count, end),)),
            },
            actions=DiscreteActions((Head("nothing", 2),)),
            state_size=self.record.itemsize,
            max_steps=config.truncate_at,
            metrics=("count",),
        )

    def start(self, games: np.ndarray) -> None:
        """Begin at 0."""
        games["terminates_at"] = self.config.terminate_at
        if self.config.random_length:
            games["terminates_at"] = 1 + integers(games, self.config.terminate_at, 1)[:, 0]

    def advance(self, games: np.ndarray, action: np.ndarray) -> Move:
        """Pay the count."""
        share = 1.0 + np.arange(self.config.num_agents)
        end = games["terminates_at"]
        return Move(games["steps"][:, None] * share, (end > 0) & (games["steps"] >= end))

    def observe(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Show the count, and to the critic the end."""
        both = np.stack([games["steps"], games["terminates_at"]], axis=-1)[:, None, :]
        both = np.repeat(both, self.config.num_agents, axis=1)
        mask = np.ones((len(games), self.config.num_agents, 2), np.bool_)
        return {"policy": both[..., :1], "critic": both, "action_mask": mask}

    def metrics(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Report the last count."""
        return {"count": games["steps"]}

    def draw(self, game: np.void) -> np.ndarray:
        """Write the count."""
        return draw_text(f"step {int(game['steps'])}")
