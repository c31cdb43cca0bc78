"""Recall a cue after a delay: only a policy with memory does better than chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simrl.core.actions import DiscreteActions, Head
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl_envs.toy.base import Move, record
from simrl_envs.toy.draw import draw_text
from simrl_envs.toy.streams import integers


@dataclass(frozen=True)
class MemoryConfig:
    """Set what is to be remembered and for how long."""

    num_cues: int = 4
    """How many different cues there are."""
    delay: int = 6
    """Steps between seeing the cue and having to name it; at least 1."""


class MemoryRules:
    """Show a cue at the first step only; `delay` steps later ask for it, pay 1 if right, and end.

    Every other step pays 0.  The best return is 1; without memory it is 1 / num_cues.
    """

    def __init__(self, config: MemoryConfig) -> None:
        if config.delay < 1:
            raise ValueError(f"memory: delay must be at least 1, got {config.delay}")
        self.config = config
        cues = [Column(f"cue_{value}", 0.0, 1.0) for value in range(config.num_cues)]
        self.record = record(("cue", np.int32), ("right", np.int32))
        self.spec = EnvSpec(
            id="memory",
            num_agents=1,
            observations={
                "policy": Layout((vector("cue", *cues), vector("ask", Column("ask", 0.0, 1.0))))
            },
            actions=DiscreteActions((Head("answer", config.num_cues),)),
            state_size=self.record.itemsize,
            metrics=("right",),
        )

    def start(self, games: np.ndarray) -> None:
        """Draw the cue."""
        games["cue"] = integers(games, self.config.num_cues, 1)[:, 0]
        games["right"] = 0

    def advance(self, games: np.ndarray, action: np.ndarray) -> Move:
        """Judge the answer once it has been asked for."""
        asked = games["steps"] == self.config.delay + 1
        games["right"] = asked & (action[:, 0, 0] == games["cue"])
        return Move(games["right"][:, None].astype(np.float32), asked)

    def observe(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Show the cue at step 0 and the question at step `delay`."""
        num_cues = self.config.num_cues
        seen = np.zeros((len(games), 1, num_cues + 1), np.float32)
        first = np.flatnonzero(games["steps"] == 0)
        seen[first, 0, games["cue"][first]] = 1.0
        seen[:, 0, num_cues] = games["steps"] == self.config.delay
        return {"policy": seen, "action_mask": np.ones((len(games), 1, num_cues), np.bool_)}

    def metrics(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Report whether the answer was right."""
        return {"right": games["right"]}

    def draw(self, game: np.void) -> np.ndarray:
        """Write the cue and the step."""
        return draw_text(f"cue {int(game['cue'])}", f"step {int(game['steps'])}")
