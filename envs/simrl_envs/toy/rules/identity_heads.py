"""Press the button that is shown, with its direction and target, under random masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simrl.core.actions import DiscreteActions, Head
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl_envs.toy.base import Move, record
from simrl_envs.toy.draw import draw_text
from simrl_envs.toy.streams import integers, uniform

USED = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]], np.bool_)
"""Which of the heads button, direction and target count for each of the four buttons."""
NUM_BUTTONS, NUM_DIRECTIONS, NUM_TARGETS = 4, 6, 5


@dataclass(frozen=True)
class IdentityHeadsConfig:
    """Set the masks and the time limit."""

    legal_share: float = 0.6
    """Probability that a value other than the wanted one is legal."""
    episode_steps: int = 16
    """Steps after which an episode is truncated."""


class IdentityHeadsRules:
    """Pay 1 for the wanted button with the wanted value in every head that counts for it.

    The right button with some wrong values pays the share of its heads that are right, a wrong
    button nothing.  The wanted action is always legal; everything else is legal at random, and the
    legal targets differ from button to button.  The best mean reward is 1 a step.
    """

    def __init__(self, config: IdentityHeadsConfig) -> None:
        self.config = config
        heads = (
            Head("button", NUM_BUTTONS, choices=("none", "move", "hit", "throw")),
            Head("direction", NUM_DIRECTIONS),
            Head("target", NUM_TARGETS, conditional=True),
        )
        self.actions = DiscreteActions(heads, selector="button")
        blocks = [
            vector(head.name, *[Column(f"is_{value}", 0.0, 1.0) for value in range(head.size)])
            for head in heads
        ]
        mask = (np.uint8, (self.actions.mask_size,))
        self.record = record(("wanted", np.int32, (3,)), ("mask", *mask))
        self.spec = EnvSpec(
            id="identity-heads",
            num_agents=1,
            observations={"policy": Layout(tuple(blocks))},
            actions=self.actions,
            state_size=self.record.itemsize,
            max_steps=config.episode_steps,
        )

    def start(self, games: np.ndarray) -> None:
        """Draw what is wanted and what is legal."""
        count, sizes = len(games), [head.size for head in self.actions.heads]
        wanted = np.concatenate([integers(games, size, 1) for size in sizes], axis=1)
        legal = uniform(games, 0.0, 1.0, self.actions.mask_size) < self.config.legal_share
        rows = np.arange(count)
        button, direction, target = (part.start for part in self.actions.mask_slices)
        legal[rows, button + wanted[:, 0]] = True
        legal[rows, direction + wanted[:, 1]] = True
        for choice in range(NUM_BUTTONS):
            legal[rows, target + choice * NUM_TARGETS + wanted[:, 2]] = True
        legal[:, self.actions.used_slice] = USED.reshape(-1)
        games["wanted"], games["mask"] = wanted, legal

    def advance(self, games: np.ndarray, action: np.ndarray) -> Move:
        """Pay for what is right and show the next wish."""
        right = action[:, 0] == games["wanted"]
        counts = USED[games["wanted"][:, 0]]
        share = (right & counts).sum(-1) / counts.sum(-1)
        reward = np.where(right[:, 0], share, 0.0)[:, None]
        self.start(games)
        return Move(reward, np.zeros(len(games), np.bool_))

    def observe(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Show the wish as three one-hots."""
        parts = [
            np.eye(head.size, dtype=np.float32)[games["wanted"][:, index]]
            for index, head in enumerate(self.actions.heads)
        ]
        return {
            "policy": np.concatenate(parts, axis=-1)[:, None],
            "action_mask": games["mask"][:, None] != 0,
        }

    def metrics(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Report nothing."""
        return {}

    def draw(self, game: np.void) -> np.ndarray:
        """Write the wish."""
        names = [head.name for head in self.actions.heads]
        lines = [f"{name} {int(v)}" for name, v in zip(names, game["wanted"], strict=True)]
        return draw_text(*lines)
